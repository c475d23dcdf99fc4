//! The start and the end that all spans of ours share: parent, sampling, ids, clock, record.
//!
//! The fast path, a parent-based sampler and no `tracestate`, is written flat and in place: values that travel
//! through `Option`s and closures are copied, and copies are what a span costs.

use std::borrow::Cow;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use opentelemetry::trace::{SpanContext, Status, TraceContextExt, TraceState};
use opentelemetry::{Context, ContextGuard, KeyValue};

use super::clock::Reading;
use super::counters::{self, DropReason, ThreadStats};
use super::found::{Found, Sampled, decide, span_context};
use super::leaf::Leaf;
use super::live::{Handle, Live, place};
use super::local::{self, Local};
use super::message::Details;
#[cfg(feature = "kafka")]
use super::message::{Given, Message, MessagePlace};
use super::outcome::Outcome;
use super::record::{Entry, INLINE, Record, flag};
use super::side::Side;
use super::site::Site;
use super::value::FieldValue;
use super::{clock, current, exchange};
#[cfg(feature = "kafka")]
use crate::propagation::Traceparent;

/// A span of ours from its start to its end.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) site: &'static Site,
    /// The record while the span is open and recording, else nothing. Kept as the chunk will hold it, so that the end
    /// of the span is one copy.
    ///
    /// Never dropped: who owns the span ends it, which leaves nothing to drop. That nobody looks whether there is
    /// something is a third of what a span costs where tracing is off.
    entry: ManuallyDrop<Entry>,
    /// The cell through which others write to it, and its generation; a leaf has none.
    pub(super) live: Option<(&'static Live, u64)>,
}

/// What begins.
enum Beginning<'a> {
    /// A span that records, with its own context.
    Span(Context, Option<&'a mut Record>),
    /// The root of an unsampled trace, with the context that keeps it so.
    Unsampled(Context),
    /// Nothing: suppressed, or below an unsampled span.
    Nothing,
    /// A `tracestate` to carry along, which the slow path does.
    Slow,
}

impl Beginning<'_> {
    /// Has the context attached, and starts the clock once the record has what `fill` gives it.
    #[inline(always)]
    fn done(
        self,
        stats: &ThreadStats,
        attach: impl FnOnce(Context),
        fill: impl FnOnce(&mut Record),
    ) -> Begun {
        match self {
            Beginning::Span(cx, record) => {
                attach(cx);
                stats.count_started();
                if let Some(record) = record {
                    fill(record);
                    record.start_now();
                }
            }
            Beginning::Unsampled(cx) => attach(cx),
            Beginning::Nothing => {}
            Beginning::Slow => return Begun::Slow,
        }
        Begun::Done
    }
}

/// Whether the fast path could do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begun {
    /// The span began, or nothing is recorded: suppressed, below an unsampled span, or a thread that ends.
    Done,
    /// A `tracestate` to carry along: the slow path does it.
    Slow,
}

impl Core {
    #[inline]
    pub(super) const fn idle(site: &'static Site) -> Self {
        Self { site, entry: ManuallyDrop::new(Entry::Nothing), live: None }
    }

    #[inline]
    pub(super) fn is_recording(&self) -> bool {
        matches!(*self.entry, Entry::Span(_))
    }

    fn record(&self) -> Option<&Record> {
        if let Entry::Span(record) = &*self.entry { Some(record) } else { None }
    }

    pub(super) fn record_mut(&mut self) -> Option<&mut Record> {
        if let Entry::Span(record) = &mut *self.entry { Some(record) } else { None }
    }

    /// Starts the span under the current context, and has its own context attached: that of a recording span, or of
    /// an unsampled root, which keeps its trace unsampled. Handed over by a call, because a context that is returned
    /// inside of something is copied on its way.
    ///
    /// Each caller is a `PLACE` of its own: what OpenTelemetry does with a handle is inlined where it is called once.
    #[inline(always)]
    pub(super) fn begin<const PLACE: u8>(&mut self, local: &Local, attach: impl FnOnce(Context)) -> Begun {
        let Some(stats) = local.stats() else {
            counters::lost();
            return Begun::Done;
        };
        let Self { site, entry, live } = self;
        // Nothing in this closure calls the user or attaches: OpenTelemetry's stack is borrowed.
        let beginning = Context::map_current(move |cx| {
            if cx.is_telemetry_suppressed() {
                return Beginning::Nothing;
            }
            let mut active = Found::NONE;
            if cx.has_active_span() {
                let span = cx.span();
                let context = span.span_context();
                if *context.trace_state() != TraceState::default() {
                    return Beginning::Slow;
                }
                active = Found::from_span_context(context);
            }
            let parent = active.or_newer_leaf(local);
            let Some(sampled) = decide(local, parent) else { return Beginning::Nothing };
            // Not the constant: that is memory, of which the compiler does not see that there is nothing to clone.
            let span_context = sampled.span_context(TraceState::default());
            if !sampled.records {
                return Beginning::Unsampled(cx.with_remote_span_context(span_context));
            }
            let record = make_record(entry, site, sampled, parent, 0);
            let (cell, generation) = local.live.acquire();
            *live = Some((cell, generation));
            let handle = Handle::<PLACE>::new(span_context, cell, generation);
            Beginning::Span(cx.with_span(handle), record)
        });
        beginning.done(stats, attach, |_| {})
    }

    /// Starts the span of a message below `sender`, or as a root. Nothing is done, and [`Begun::Slow`] is the answer, where
    /// another span is current: then there is more to decide. Otherwise like [`begin`](Self::begin).
    #[cfg(feature = "kafka")]
    #[inline(always)]
    pub(super) fn begin_message<const PLACE: u8>(
        &mut self,
        local: &Local,
        sender: Found,
        given: &'static Given,
        message: &Message<'_>,
        attach: impl FnOnce(Context),
    ) -> Begun {
        let Some(stats) = local.stats() else {
            counters::lost();
            return Begun::Done;
        };
        let Self { site, entry, live } = self;
        let beginning = Context::map_current(move |cx| {
            if cx.is_telemetry_suppressed() {
                return Beginning::Nothing;
            }
            if Found::by_current(local, cx).span != 0 {
                return Beginning::Slow;
            }
            let Some(sampled) = decide(local, sender) else {
                return Beginning::Unsampled(cx.with_remote_span_context(sender.to_span_context()));
            };
            let span_context = sampled.span_context(TraceState::default());
            if !sampled.records {
                return Beginning::Unsampled(cx.with_remote_span_context(span_context));
            }
            let record = make_record(entry, site, sampled, sender, 0);
            let (cell, generation) = local.live.acquire();
            cell.message.write(message, sender.span != 0);
            *live = Some((cell, generation));
            let handle = Handle::<PLACE>::new(span_context, cell, generation);
            Beginning::Span(cx.with_span(handle), record)
        });
        beginning.done(stats, attach, |record| record.given = Some(given))
    }

    #[cfg(feature = "kafka")]
    pub(super) fn message_place(&self) -> Option<MessagePlace> {
        let is_told = self.record().is_some_and(|record| record.given.is_some());
        self.live.filter(|_| is_told).map(|(live, generation)| MessagePlace::new(live, generation))
    }

    /// What [`begin_message`](Self::begin_message) does below a span that is not sampled: nothing records, and the trace
    /// stays unsampled.
    #[cfg(feature = "kafka")]
    #[inline(always)]
    pub(super) fn begin_unsampled(local: &Local, sender: Traceparent, attach: impl FnOnce(Context)) -> Begun {
        if local.stats().is_none() {
            counters::lost();
            return Begun::Done;
        }
        let beginning = Context::map_current(|cx| {
            if cx.is_telemetry_suppressed() {
                Beginning::Nothing
            } else if Found::by_current(local, cx).span != 0 {
                Beginning::Slow
            } else {
                // Not the constant, as above.
                let sender = sender.to_span_context(TraceState::default());
                Beginning::Unsampled(cx.with_remote_span_context(sender))
            }
        });
        match beginning {
            Beginning::Unsampled(cx) | Beginning::Span(cx, _) => attach(cx),
            Beginning::Nothing => {}
            Beginning::Slow => return Begun::Slow,
        }
        Begun::Done
    }

    /// Starts a leaf. Gives what this thread has to know; `None` where nothing changes.
    #[inline(always)]
    pub(super) fn begin_leaf(&mut self, local: &Local) -> Option<Leaf> {
        let Some(stats) = local.stats() else {
            counters::lost();
            return None;
        };
        let active =
            Context::map_current(|cx| (!cx.is_telemetry_suppressed()).then(|| Found::by_context(cx)))?;
        let parent = active.or_newer_leaf(local);
        let sampled = decide(local, parent)?;
        if sampled.records {
            stats.count_started();
            if let Some(record) = make_record(&mut self.entry, self.site, sampled, parent, 0) {
                record.start_now();
            }
        }
        Some(Leaf {
            trace: sampled.trace,
            span: sampled.span,
            under: active.span,
            trace_flags: sampled.trace_flags,
        })
    }

    pub(super) fn make_record(&mut self, sampled: Sampled, parent: Found, flags: u8) {
        make_record(&mut self.entry, self.site, sampled, parent, flags);
    }

    /// The last thing on the way in. Nothing if the span has started. `begun`: when it did, if that was before.
    pub(super) fn start_now(&mut self, stats: &ThreadStats, begun: Option<Reading>) {
        if let Some(record) = self.record_mut().filter(|record| record.start == 0) {
            if record.flags & flag::RECORD_ONLY == 0 {
                stats.count_started();
            }
            record.start_at(begun.unwrap_or_else(clock::now));
        }
    }

    /// The context of this span again, under another base.
    pub(super) fn context_under(&self, base: &Context) -> Option<Context> {
        let (record, (live, generation)) = (self.record()?, self.live?);
        Some(base.with_span(Handle::<{ place::OTHER }>::new(self.span_context_of(record), live, generation)))
    }

    fn span_context_of(&self, record: &Record) -> SpanContext {
        let trace_state = record.side.as_ref().and_then(|side| side.trace_state.clone());
        let trace_state = trace_state.unwrap_or(TraceState::NONE);
        span_context(record.trace, record.span, record.trace_flags, false, trace_state)
    }

    /// The context of an open span; `None` if it is not recording.
    pub(super) fn span_context(&self) -> Option<SpanContext> {
        self.record().map(|record| self.span_context_of(record))
    }

    /// As a leaf's children need it.
    pub(super) fn as_leaf(&self, under: u64) -> Leaf {
        self.record().map_or(Leaf::NONE, |record| Leaf {
            trace: record.trace,
            span: record.span,
            under,
            trace_flags: record.trace_flags,
        })
    }

    /// Sets the value of one of the site's keys.
    #[inline(always)]
    pub(super) fn set(&mut self, index: usize, value: FieldValue) {
        if let Entry::Span(record) = &mut *self.entry {
            record.set(index, value);
        }
    }

    pub(super) fn side(&mut self) -> Option<&mut Side> {
        self.record_mut().map(Record::side)
    }

    #[cold]
    pub(super) fn fail(&mut self, error_type: Cow<'static, str>, description: Cow<'static, str>) {
        if let Some(side) = self.side() {
            side.set_attribute(KeyValue::new("error.type", error_type));
            side.set_status(Status::Error { description });
        }
    }

    /// The end of a span whose function returned.
    #[inline(always)]
    pub(super) fn finish(&mut self, outcome: Outcome) {
        if let Outcome::Failed { error_type, description } = outcome {
            self.fail(error_type, description.unwrap_or_default());
        }
        self.end(0);
    }

    /// Ends the span: from here on, handles find nothing. `how` is zero or one of the flags for an end that was no
    /// return.
    #[inline(always)]
    pub(super) fn end(&mut self, how: u8) {
        let Entry::Span(record) = &mut *self.entry else { return };
        let end = clock::read(record.flags & flag::TICKS != 0);
        if record.given.is_some() {
            return self.end_message(end, how);
        }
        if let Some((live, generation)) = self.live {
            if live.is_written() {
                take_written(record, live, generation);
            }
            local::with(|local| local.live.release(live, generation));
        }
        hand_over(&mut self.entry, end, how);
    }

    /// The end of a message's span, whose details go into the chunk as well.
    #[inline(never)]
    fn end_message(&mut self, end: u64, how: u8) {
        let (Entry::Span(record), Some((live, generation))) = (&mut *self.entry, self.live) else { return };
        if live.is_written() {
            take_written(record, live, generation);
        }
        let details = live.message.read();
        record.end = end;
        record.flags |= how;
        let stats = local::with(|local| {
            local.live.release(live, generation);
            if local.leaf_writes.get() {
                take_leaf_writes(record);
            }
            local.stats()
        });
        match stats {
            Some(stats) if record.flags & (flag::RECORD_ONLY | flag::OWNS_HEAP) == 0 => {
                stats.count_ended();
                if let Some(reason) = exchange::push_message(details, &mut self.entry, 0) {
                    counters::dropped(reason, 1);
                }
            }
            _ => hand_over_rare(&mut self.entry, Some(details)),
        }
    }

    /// Takes what was written to this leaf on this thread.
    #[inline]
    pub(super) fn take_leaf_writes(&mut self) {
        if local::with(|local| local.leaf_writes.get())
            && let Entry::Span(record) = &mut *self.entry
        {
            take_leaf_writes(record);
        }
    }

    /// The flag for an end by `Drop`: a panic that began inside the span, else `otherwise`.
    #[inline(always)]
    pub(super) fn how_dropped(&self, otherwise: u8) -> u8 {
        let flags = self.record().map_or(0, |record| record.flags);
        let panics_now = thread::panicking() && flags & flag::BEGAN_IN_PANIC == 0;
        if panics_now || flags & flag::PANICKED_IN_POLL != 0 { flag::PANICKED } else { otherwise }
    }

    /// Remembers that a poll panicked.
    pub(super) fn panicked_in_poll(&mut self) {
        if let Some(record) = self.record_mut() {
            record.flags |= flag::PANICKED_IN_POLL;
        }
    }
}

#[inline(always)]
fn make_record<'a>(
    entry: &'a mut ManuallyDrop<Entry>,
    site: &'static Site,
    sampled: Sampled,
    parent: Found,
    flags: u8,
) -> Option<&'a mut Record> {
    *entry = ManuallyDrop::new(Entry::Span(Record {
        site,
        trace: sampled.trace,
        span: sampled.span,
        parent: parent.span,
        start: 0,
        end: 0,
        flags: if parent.is_remote { flags | flag::REMOTE_PARENT } else { flags },
        trace_flags: sampled.trace_flags,
        values: [const { FieldValue::Null }; INLINE],
        side: None,
        given: None,
    }));
    if let Entry::Span(record) = &mut **entry { Some(record) } else { None }
}

/// Leaves nothing behind. The record goes by reference down to its place in the chunk: it is copied once.
#[inline(always)]
fn hand_over(entry: &mut Entry, end: u64, how: u8) {
    let Entry::Span(record) = entry else { return };
    let stats = local::with(|local| {
        if local.leaf_writes.get() {
            take_leaf_writes(record);
        }
        local.stats()
    });
    // Written where the record arrives and not where it comes from: what was written just now cannot be copied until
    // it has left the processor's store buffer.
    let finish = |entry: &mut Entry| {
        if let Entry::Span(record) = entry {
            record.end = end;
            record.flags |= how;
        }
    };
    match stats {
        Some(stats) if record.flags & (flag::RECORD_ONLY | flag::OWNS_HEAP) == 0 => {
            stats.count_ended();
            exchange::push(entry, finish);
        }
        _ => {
            finish(entry);
            hand_over_rare(entry, None);
        }
    }
}

#[cold]
#[inline(never)]
fn hand_over_rare(entry: &mut Entry, details: Option<Details>) {
    let mut entry = std::mem::replace(entry, Entry::Nothing);
    let Entry::Span(record) = &mut entry else { return };
    let is_counted = record.flags & flag::RECORD_ONLY == 0;
    let refused = match local::with(Local::stats) {
        Some(stats) => {
            if is_counted {
                stats.count_ended();
            }
            if record.fit() {
                let heap_bytes = record.heap_bytes();
                match details {
                    Some(details) => exchange::push_message(details, &mut entry, heap_bytes),
                    None => exchange::push_with_heap(&mut entry, heap_bytes),
                }
            } else {
                Some(DropReason::TooLarge)
            }
        }
        None => Some(DropReason::ThreadExit),
    };
    if let Some(reason) = refused.filter(|_| is_counted) {
        counters::dropped(reason, 1);
    }
}

#[cold]
#[inline(never)]
fn take_leaf_writes(record: &mut Record) {
    if let Some(written) = current::take_leaf(record.span) {
        merge(record, written);
    }
}

#[cold]
#[inline(never)]
fn take_written(record: &mut Record, live: &Live, generation: u64) {
    if let Some(written) = live.take(generation) {
        merge(record, written);
    }
}

/// What others wrote comes after what the span was given, and overwrites it. A field of the site that is written
/// again is overwritten by the collector.
fn merge(record: &mut Record, written: Side) {
    record.flags |= flag::OWNS_HEAP;
    match &mut record.side {
        Some(side) => side.merge(written),
        None => record.side = Some(Box::new(written)),
    }
}

/// Attaches a context. Inside the closure of `Context::map_current` OpenTelemetry's stack is borrowed and `attach`
/// panics: then there is no guard, and the host does not learn of it.
pub(super) fn attach(cx: Context) -> Option<ContextGuard> {
    catch_unwind(AssertUnwindSafe(|| cx.attach())).ok()
}
