//! The collector: a thread that takes ended spans from their threads' chunks, makes `SpanData` of them, and offers
//! them in batches to the exporters. It waits for its own alarm clock, and a moment for exporters that are all full.

use std::collections::HashMap;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

use opentelemetry::Context;
use opentelemetry_sdk::trace::SpanData;

use super::bridge::SharedProcessor;
use super::clockwork::Clockwork;
use super::convert::Converter;
use super::delivery::Delivery;
use super::intake::Intake;
use super::size::span_bytes;
use super::spans::{Source, Sources, Spans};
use crate::diagnostics;
use crate::span::counters::{self, DropReason};
use crate::span::exchange::Reader;
use crate::span::message::Details;
use crate::span::record::{Entry, flag};

/// The collector looks at open chunks at least this often, so that an idle thread's spans are seen.
const LOOK: Duration = Duration::from_secs(1);

/// How long a batch waits for room at exporters that are all full and at work.
const PATIENCE: Duration = Duration::from_millis(100);
/// How long none is waited for after that was in vain.
const IMPATIENCE: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug)]
pub(super) struct CollectorSettings {
    pub(super) schedule_delay: Duration,
    /// A batch leaves with this many spans, or when they hold this many bytes.
    pub(super) batch_size: usize,
    pub(super) batch_bytes: usize,
    pub(super) code_attributes: bool,
}

/// What the collector shares with those who ask it for something.
#[derive(Debug, Default)]
pub(super) struct Shared {
    requests: Mutex<Requests>,
    answered: Condvar,
    pub(super) collected: AtomicU64,
    /// Times this thread panicked and went on.
    pub(super) panics: AtomicU64,
    pub(super) uses_ticks: AtomicBool,
    heartbeat: Mutex<Option<Instant>>,
}

#[derive(Debug, Default)]
struct Requests {
    /// Looks asked for, and made.
    asked: u64,
    done: u64,
    stop: bool,
    ended: bool,
}

impl Shared {
    fn requests(&self) -> MutexGuard<'_, Requests> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the thread has made its last look.
    pub(super) fn has_ended(&self) -> bool {
        self.requests().ended
    }

    pub(super) fn heartbeat_age(&self) -> Option<Duration> {
        let beat = *self.heartbeat.lock().unwrap_or_else(PoisonError::into_inner);
        beat.map(|at| at.elapsed())
    }

    fn beat(&self) {
        *self.heartbeat.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }
}

/// A running collector.
#[derive(Debug)]
pub(super) struct Collector {
    pub(super) shared: Arc<Shared>,
    thread: Thread,
    handle: Mutex<Option<JoinHandle<()>>>,
}

impl Collector {
    /// Starts the thread. Without one (the system refuses) the error says so, and nothing is recorded.
    pub(super) fn start(
        intake: Arc<Intake>,
        delivery: Arc<Delivery>,
        processors: Vec<SharedProcessor>,
        settings: CollectorSettings,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let sources = delivery.gives_spans().then(|| Vec::with_capacity(settings.batch_size));
        let mut worker = Worker {
            shared: Arc::clone(&shared),
            intake,
            delivery,
            processors,
            settings,
            converter: Converter::new(settings.code_attributes),
            clockwork: Clockwork::start(),
            readers: HashMap::new(),
            batch: Vec::with_capacity(settings.batch_size),
            sources,
            batch_bytes: 0,
            batch_since: None,
            impatient_until: None,
        };
        let handle = thread::Builder::new().name("throughline-collect".into()).spawn(move || {
            let _no_telemetry_about_telemetry = Context::enter_telemetry_suppressed_scope();
            worker.intake.set_collector(thread::current());
            worker.run();
        })?;
        Ok(Self { shared, thread: handle.thread().clone(), handle: Mutex::new(Some(handle)) })
    }

    /// Has everything collected that was committed before the call, and offered. False if the deadline passed.
    pub(super) fn collect(&self, deadline: Instant) -> bool {
        let mut requests = self.shared.requests();
        if requests.ended {
            return true;
        }
        requests.asked += 1;
        let mine = requests.asked;
        self.thread.unpark();
        while requests.done < mine && !requests.ended {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            requests = match self.shared.answered.wait_timeout(requests, left) {
                Ok((requests, _)) => requests,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
        true
    }

    /// Collects what is left and ends the thread. False if the deadline passed; the thread then ends by itself.
    pub(super) fn stop(&self, deadline: Instant) -> bool {
        self.shared.requests().stop = true;
        let met = self.collect(deadline);
        let handle = self.handle.lock().unwrap_or_else(PoisonError::into_inner).take();
        if met && let Some(handle) = handle {
            let _ = handle.join();
        }
        met
    }
}

struct Worker {
    shared: Arc<Shared>,
    intake: Arc<Intake>,
    delivery: Arc<Delivery>,
    processors: Vec<SharedProcessor>,
    settings: CollectorSettings,
    converter: Converter,
    clockwork: Clockwork,
    readers: HashMap<usize, Reader>,
    batch: Vec<SpanData>,
    /// What they were made of, if an exporter takes them.
    sources: Option<Vec<Option<Source>>>,
    batch_bytes: usize,
    /// When the first span of the batch was put there.
    batch_since: Option<Instant>,
    /// No exporter is waited for until then.
    impatient_until: Option<Instant>,
}

impl Worker {
    fn run(&mut self) {
        let mut backoff = Duration::from_millis(10);
        loop {
            let (asked, stop) = {
                let requests = self.shared.requests();
                (requests.asked, requests.stop)
            };
            // A stop is seen before the look that it asks for is: its last batch must leave all the same.
            let hurried = stop || asked != self.shared.requests().done;
            match catch_unwind(AssertUnwindSafe(|| self.look(hurried))) {
                Ok(()) => backoff = Duration::from_millis(10),
                Err(_) => {
                    self.shared.panics.fetch_add(1, Ordering::Relaxed);
                    diagnostics::warn(format_args!("the span collector panicked and goes on"));
                    thread::park_timeout(backoff);
                    backoff = (backoff * 2).min(Duration::from_secs(1));
                }
            }
            {
                let mut requests = self.shared.requests();
                requests.done = asked;
                requests.ended = stop;
                self.shared.answered.notify_all();
                if stop {
                    return;
                }
                if requests.asked != asked {
                    continue;
                }
            }
            if !self.intake.take_woken() {
                thread::park_timeout(self.settings.schedule_delay.min(LOOK));
                self.intake.take_woken();
            }
        }
    }

    /// One look at all chunks.
    fn look(&mut self, hurried: bool) {
        self.shared.beat();
        // Full chunks first: whatever was opened before they filled up is then among the opened ones.
        let sealed = self.intake.take_sealed();
        for reader in self.intake.take_opened() {
            self.readers.insert(reader.id, reader);
        }
        // How much is committed; then the time; then the conversion. A tick converted now lies before the anchor.
        let committed: Vec<(usize, usize)> =
            self.readers.values().map(|reader| (reader.id, reader.entries.waiting())).collect();
        self.clockwork.take_anchor();
        self.shared.uses_ticks.store(self.clockwork.uses_ticks(), Ordering::Relaxed);
        for (id, entries) in committed {
            let Some(mut reader) = self.readers.remove(&id) else { continue };
            self.drain(&mut reader, entries);
            self.readers.insert(id, reader);
        }
        for writer in sealed {
            if let Some(mut reader) = self.readers.remove(&writer.id) {
                // Sealed since the count: everything in it is committed.
                let rest = reader.entries.waiting();
                self.drain(&mut reader, rest);
                self.intake.give_back(writer, reader);
            }
        }
        for span in self.intake.take_direct() {
            self.take_whole(span);
            self.send_if_full();
        }
        let due = self.batch_since.is_some_and(|since| since.elapsed() >= self.settings.schedule_delay);
        if hurried || due || self.settings.schedule_delay <= LOOK {
            self.send();
        }
    }

    fn drain(&mut self, reader: &mut Reader, entries: usize) {
        for _ in 0..entries {
            let Some(entry) = reader.entries.pop() else { return };
            if let Entry::Message(details) = entry {
                reader.details = Some(details);
                continue;
            }
            let details = reader.details.take();
            if catch_unwind(AssertUnwindSafe(|| self.take_entry(entry, details))).is_err() {
                counters::dropped(DropReason::Panic, 1);
            }
            self.send_if_full();
        }
    }

    fn take_entry(&mut self, entry: Entry, details: Option<Details>) {
        match entry {
            Entry::Span(record) => {
                self.intake.heap_collected(record.heap_bytes());
                let only_recorded = record.flags & flag::RECORD_ONLY != 0;
                let times = self.clockwork.times(&record);
                let is_kept = self.sources.is_some() && record.flags & flag::OWNS_HEAP == 0;
                let source = is_kept.then(|| Source { record: record.clone(), details, times });
                let span = self.converter.span(record, details.as_ref(), times);
                for processor in &self.processors {
                    processor.on_end_of_ours(&span);
                }
                if !only_recorded {
                    self.take(span, source);
                }
            }
            Entry::Foreign(span) => {
                self.intake.heap_collected(span_bytes(&span));
                self.take_whole(*span);
            }
            Entry::Message(_) | Entry::Nothing => {}
        }
    }

    /// Takes a span that comes as such.
    fn take_whole(&mut self, span: SpanData) {
        self.take(span, None);
    }

    /// Never panics: a span is counted as collected, or as lost with a panic.
    #[inline]
    fn take(&mut self, span: SpanData, source: Option<Source>) {
        self.batch_bytes += span_bytes(&span);
        self.batch.push(span);
        if let Some(sources) = &mut self.sources {
            self.batch_bytes += size_of::<Source>();
            sources.push(source);
        }
        // Nobody else counts here.
        let collected = self.shared.collected.load(Ordering::Relaxed);
        self.shared.collected.store(collected + 1, Ordering::Relaxed);
    }

    fn send_if_full(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        self.batch_since.get_or_insert_with(Instant::now);
        if self.batch.len() >= self.settings.batch_size || self.batch_bytes >= self.settings.batch_bytes {
            self.send();
        }
    }

    /// Spares a burst from being dropped before an exporter that is at work. One that hangs holds the collector up
    /// once, and then not again for a while.
    fn wait_for_room(&mut self) {
        if self.impatient_until.is_some_and(|until| Instant::now() < until) {
            return;
        }
        let moved = self.delivery.wait_for_room(self.batch.len(), self.batch_bytes, PATIENCE);
        self.impatient_until = (!moved).then(|| Instant::now() + IMPATIENCE);
    }

    fn send(&mut self) {
        self.batch_since = None;
        if self.batch.is_empty() {
            return;
        }
        self.wait_for_room();
        let CollectorSettings { batch_size, code_attributes, .. } = self.settings;
        let batch = mem::replace(&mut self.batch, Vec::with_capacity(batch_size));
        let sources = self.sources.as_mut().map(|sources| Sources {
            each: mem::replace(sources, Vec::with_capacity(batch_size)),
            code_attributes,
        });
        self.delivery.offer(Spans::new(batch, sources), mem::take(&mut self.batch_bytes));
    }
}
