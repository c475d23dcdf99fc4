//! The start and the end that all spans of ours share: parent, sampling, ids, clock, record.
//!
//! The fast path, a parent-based sampler and no `tracestate`, is written flat and in place: values that travel
//! through `Option`s and closures are copied, and copies are what a span costs.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use opentelemetry::trace::{
    Link, SpanContext, SpanId, Status, TraceContextExt, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{Context, ContextGuard, KeyValue};

use super::counters::{self, DropReason};
use super::leaf::Leaf;
use super::live::{Handle, Live};
use super::local::{self, Local};
use super::outcome::Outcome;
use super::record::{Entry, INLINE, Record, flag};
use super::side::Side;
use super::site::Site;
use super::value::FieldValue;
use super::{clock, current, exchange, sampler};

/// A span of ours from its start to its end.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) site: &'static Site,
    /// The record while the span is open and recording, else nothing. Kept as the chunk will hold it, so that the end
    /// of the span is one copy.
    entry: Entry,
    /// The cell through which others write to it, and its generation; a leaf has none.
    pub(super) live: Option<(&'static Live, u64)>,
}

/// The parent that was found, as numbers.
#[derive(Clone, Copy)]
pub(super) struct Found {
    pub(super) trace: [u64; 2],
    /// Zero: none, the span will be a root.
    pub(super) span: u64,
    pub(super) trace_flags: u8,
    pub(super) is_remote: bool,
}

impl Found {
    pub(super) const NONE: Self = Self { trace: [0; 2], span: 0, trace_flags: 0, is_remote: false };

    #[inline]
    pub(super) fn from_span_context(context: &SpanContext) -> Self {
        let trace = words(context.trace_id());
        let span = u64::from_be_bytes(context.span_id().to_bytes());
        if trace == [0; 2] || span == 0 {
            return Self::NONE;
        }
        Self { trace, span, trace_flags: context.trace_flags().to_u8(), is_remote: context.is_remote() }
    }

    /// The parent that a context names.
    pub(super) fn by_context(cx: &Context) -> Self {
        if cx.has_active_span() { Self::from_span_context(cx.span().span_context()) } else { Self::NONE }
    }

    /// The parent on this thread, whose current context is `cx`: our innermost leaf, if it is newer than the span
    /// that the context names.
    #[inline]
    pub(super) fn by_current(local: &Local, cx: &Context) -> Self {
        Self::by_context(cx).or_newer_leaf(local)
    }

    /// This span, which OpenTelemetry has active, or the leaf that began under it.
    #[inline(always)]
    fn or_newer_leaf(self, local: &Local) -> Self {
        let leaf = local.leaf.get();
        if leaf.span == 0 || leaf.under != self.span {
            return self;
        }
        Self { trace: leaf.trace, span: leaf.span, trace_flags: leaf.trace_flags, is_remote: false }
    }

    pub(super) fn to_span_context(self) -> SpanContext {
        span_context(self.trace, self.span, self.trace_flags, self.is_remote, TraceState::NONE)
    }
}

/// A trace id as two words, the higher first.
#[allow(clippy::cast_possible_truncation)]
#[inline]
pub(super) fn words(id: TraceId) -> [u64; 2] {
    let number = u128::from_be_bytes(id.to_bytes());
    [(number >> 64) as u64, number as u64]
}

/// A span's context in OpenTelemetry's type, from the numbers that we keep of it.
#[inline(always)]
pub(super) fn span_context(
    trace: [u64; 2],
    span: u64,
    trace_flags: u8,
    is_remote: bool,
    trace_state: TraceState,
) -> SpanContext {
    let trace_flags = TraceFlags::new(trace_flags);
    SpanContext::new(trace_id(trace), SpanId::from(span), trace_flags, is_remote, trace_state)
}

#[inline]
pub(crate) fn trace_id(words: [u64; 2]) -> TraceId {
    TraceId::from((u128::from(words[0]) << 64) | u128::from(words[1]))
}

/// What OpenTelemetry's context says to a span that begins.
enum Active {
    Suppressed,
    /// The active span, or none.
    Span(Found),
    /// A span with a `tracestate` to carry along.
    WithTraceState,
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
        Self { site, entry: Entry::Nothing, live: None }
    }

    #[inline]
    pub(super) fn is_recording(&self) -> bool {
        matches!(self.entry, Entry::Span(_))
    }

    fn record(&self) -> Option<&Record> {
        if let Entry::Span(record) = &self.entry { Some(record) } else { None }
    }

    pub(super) fn record_mut(&mut self) -> Option<&mut Record> {
        if let Entry::Span(record) = &mut self.entry { Some(record) } else { None }
    }

    /// Starts the span under the current context, and has its own context attached: that of a recording span, or of
    /// an unsampled root, which keeps its trace unsampled. Handed over by a call, because a context that is returned
    /// inside of something is copied on its way.
    #[inline(always)]
    pub(super) fn begin(&mut self, local: &Local, attach: impl FnOnce(Context)) -> Begun {
        if local.stats().is_none() {
            counters::lost();
            return Begun::Done;
        }
        // Nothing in this closure calls the user or attaches: OpenTelemetry's stack is borrowed. It gives numbers
        // only.
        let active = Context::map_current(|cx| {
            if cx.is_telemetry_suppressed() {
                return Active::Suppressed;
            }
            if !cx.has_active_span() {
                return Active::Span(Found::NONE);
            }
            let span = cx.span();
            let context = span.span_context();
            if *context.trace_state() != TraceState::NONE {
                return Active::WithTraceState;
            }
            Active::Span(Found::from_span_context(context))
        });
        let active = match active {
            Active::Span(found) => found,
            Active::Suppressed => return Begun::Done,
            Active::WithTraceState => return Begun::Slow,
        };
        let Some(sampled) = self.decide(local, active.or_newer_leaf(local)) else { return Begun::Done };
        let span_context = sampled.span_context(TraceState::NONE);
        if sampled.records {
            let (live, generation) = local.live.acquire();
            self.live = Some((live, generation));
            attach(Context::current_with_span(Handle::new(span_context, live, generation)));
            self.read_start(local);
        } else {
            attach(Context::map_current(|cx| cx.with_remote_span_context(span_context)));
        }
        Begun::Done
    }

    /// Starts a leaf. Gives what this thread has to know; `None` where nothing changes.
    #[inline(always)]
    pub(super) fn begin_leaf(&mut self, local: &Local) -> Option<Leaf> {
        if local.stats().is_none() {
            counters::lost();
            return None;
        }
        let active =
            Context::map_current(|cx| (!cx.is_telemetry_suppressed()).then(|| Found::by_context(cx)))?;
        let sampled = self.decide(local, active.or_newer_leaf(local))?;
        self.read_start(local);
        Some(Leaf {
            trace: sampled.trace,
            span: sampled.span,
            under: active.span,
            trace_flags: sampled.trace_flags,
        })
    }

    /// Decides by the parent, or for a root by its trace id, and takes ids; `None` where nothing changes. Makes the
    /// record of a sampled span.
    #[inline(always)]
    pub(super) fn decide(&mut self, local: &Local, parent: Found) -> Option<Sampled> {
        let mut sampled =
            Sampled { trace: parent.trace, span: 0, trace_flags: parent.trace_flags, records: true };
        if parent.span == 0 {
            sampled.trace = local.ids.next_trace();
            sampled.trace_flags = u8::from(sampler::samples_root(sampled.trace[1]));
            sampled.records = sampled.trace_flags != 0;
        } else if parent.trace_flags & 1 == 0 {
            return None;
        }
        sampled.span = local.ids.next_span();
        if sampled.records {
            self.make_record(sampled, parent, 0);
        }
        Some(sampled)
    }

    #[inline(always)]
    pub(super) fn make_record(&mut self, sampled: Sampled, parent: Found, flags: u8) {
        self.entry = Entry::Span(Record {
            site: self.site,
            trace: sampled.trace,
            span: sampled.span,
            parent: parent.span,
            start: 0,
            end: 0,
            flags: if parent.is_remote { flags | flag::REMOTE_PARENT } else { flags },
            trace_flags: sampled.trace_flags,
            values: [const { FieldValue::Null }; INLINE],
            side: None,
        });
    }

    /// The last thing on the way in: what comes before is not the user's time.
    #[inline(always)]
    pub(super) fn read_start(&mut self, local: &Local) {
        let Entry::Span(record) = &mut self.entry else { return };
        if record.flags & flag::RECORD_ONLY == 0 {
            local.count_started();
        }
        if thread::panicking() {
            record.flags |= flag::BEGAN_IN_PANIC;
        }
        let now = clock::now();
        if now.is_ticks {
            record.flags |= flag::TICKS;
        }
        record.start = now.value;
    }

    /// The context of this span again, under another base.
    pub(super) fn context_under(&self, base: &Context) -> Option<Context> {
        let (record, (live, generation)) = (self.record()?, self.live?);
        Some(base.with_span(Handle::new(self.span_context_of(record), live, generation)))
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
    #[inline]
    pub(super) fn set(&mut self, index: usize, value: FieldValue) {
        if let Entry::Span(record) = &mut self.entry {
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
        let Entry::Span(record) = &mut self.entry else { return };
        let end = clock::read(record.flags & flag::TICKS != 0);
        if let Some((live, generation)) = self.live.take() {
            if live.is_written() {
                take_written(record, live, generation);
            }
            local::with(|local| local.live.release(live, generation));
        }
        hand_over(&mut self.entry, end, how);
    }

    /// Takes what was written to this leaf on this thread.
    #[inline]
    pub(super) fn take_leaf_writes(&mut self) {
        if local::with(|local| local.leaf_writes.get())
            && let Entry::Span(record) = &mut self.entry
        {
            take_leaf_writes(record);
        }
    }

    /// The flag for an end by `Drop`: a panic that began inside the span, else `otherwise`.
    #[inline(always)]
    pub(super) fn how_dropped(&self, otherwise: u8) -> u8 {
        let flags = self.record().map_or(0, |record| record.flags);
        let inside = flags & flag::BEGAN_IN_PANIC == 0;
        if flags & flag::PANICKED_IN_POLL != 0 || (inside && thread::panicking()) {
            return flag::PANICKED;
        }
        otherwise
    }

    /// Remembers that a poll panicked.
    pub(super) fn panicked_in_poll(&mut self) {
        if let Some(record) = self.record_mut() {
            record.flags |= flag::PANICKED_IN_POLL;
        }
    }
}

/// Ids and decision of a span that begins.
#[derive(Clone, Copy)]
pub(super) struct Sampled {
    pub(super) trace: [u64; 2],
    pub(super) span: u64,
    pub(super) trace_flags: u8,
    pub(super) records: bool,
}

impl Sampled {
    #[inline(always)]
    pub(super) fn span_context(self, trace_state: TraceState) -> SpanContext {
        span_context(self.trace, self.span, self.trace_flags, false, trace_state)
    }
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
            hand_over_rare(entry);
        }
    }
}

#[cold]
#[inline(never)]
fn hand_over_rare(entry: &mut Entry) {
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
                exchange::push_with_heap(&mut entry, heap_bytes)
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

/// A link to the span that a root was called from.
pub(super) fn link_to(caller: Found) -> Option<Link> {
    (caller.span != 0).then(|| Link::new(caller.to_span_context(), Vec::new(), 0))
}
