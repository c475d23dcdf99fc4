//! The start and the end that all spans of ours share: parent, sampling, ids, clock, record.

use std::thread;

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, TraceContextExt, TraceFlags, TraceId, TraceState};
use opentelemetry::{Context, KeyValue};

use opentelemetry_sdk::trace::SamplingDecision;

use super::clock;
use super::counters::{self, DropReason};
use super::live::{self, Handle, Live};
use super::local::{self, Current, Local};
use super::options::{Options, Parent};
use super::outcome::Outcome;
use super::record::{Entry, INLINE, Record, flag};
use super::sampler::{self, state};
use super::side::Side;
use super::site::Site;
use super::value::FieldValue;
use super::{chunk, current, limits};

/// How far a span came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Not started, not sampled, or ended.
    Idle,
    /// Open: fields, attributes and outcome are wanted.
    Recording,
    /// Open and written to, but never exported: a custom sampler said `RecordOnly`.
    RecordOnly,
}

/// A span of ours from its start to its end.
#[derive(Debug)]
pub(super) struct Core {
    site: &'static Site,
    pub(super) phase: Phase,
    pub(super) flags: u8,
    trace_flags: u8,
    trace: [u64; 2],
    span: u64,
    parent: u64,
    start: u64,
    generation: u64,
    live: Option<&'static Live>,
    values: [FieldValue; INLINE],
    side: Option<Box<Side>>,
}

/// The parent that was found, as numbers.
struct Found {
    trace: [u64; 2],
    /// Zero: none, this is a root.
    span: u64,
    trace_flags: u8,
    is_remote: bool,
}

impl Found {
    const ROOT: Self = Self { trace: [0; 2], span: 0, trace_flags: 0, is_remote: false };

    #[inline]
    fn from_span_context(context: &SpanContext) -> Self {
        let trace = u128::from_be_bytes(context.trace_id().to_bytes());
        let span = u64::from_be_bytes(context.span_id().to_bytes());
        if trace == 0 || span == 0 {
            return Self::ROOT;
        }
        Self {
            trace: split(trace),
            span,
            trace_flags: context.trace_flags().to_u8(),
            is_remote: context.is_remote(),
        }
    }

    /// The parent by a thread's current context: its active span, unless that is still the one that was active
    /// when our innermost span began; then ours is newer, which may be a leaf.
    #[inline]
    fn by_current(local: &Local, cx: &Context) -> Self {
        let active = Self::by_context(cx);
        let current = local.current.get();
        if current.span != 0 && active.span == local.attached.get() {
            return Self {
                trace: current.trace,
                span: current.span,
                trace_flags: current.trace_flags,
                is_remote: false,
            };
        }
        active
    }

    /// The parent that a context names.
    #[inline]
    fn by_context(cx: &Context) -> Self {
        if cx.has_active_span() { Self::from_span_context(cx.span().span_context()) } else { Self::ROOT }
    }
}

#[allow(clippy::cast_possible_truncation)]
#[inline]
fn split(trace: u128) -> [u64; 2] {
    [(trace >> 64) as u64, trace as u64]
}

#[inline]
fn join(trace: [u64; 2]) -> u128 {
    (u128::from(trace[0]) << 64) | u128::from(trace[1])
}

impl Core {
    pub(super) const fn idle(site: &'static Site) -> Self {
        Self {
            site,
            phase: Phase::Idle,
            flags: 0,
            trace_flags: 0,
            trace: [0; 2],
            span: 0,
            parent: 0,
            start: 0,
            generation: 0,
            live: None,
            values: [const { FieldValue::Null }; INLINE],
            side: None,
        }
    }

    /// Starts the span under the current context. Gives the context to attach; `None` where nothing is recorded
    /// and nothing changes.
    #[inline]
    pub(super) fn start(&mut self, local: &Local) -> Option<Context> {
        if sampler::current_state() == state::ASK {
            return self.start_with(local, Options::new());
        }
        // Nothing in this closure calls the user or attaches: OpenTelemetry's stack is borrowed.
        let cx = Context::map_current(|cx| {
            if cx.is_telemetry_suppressed() {
                return None;
            }
            let parent = Found::by_current(local, cx);
            let trace_state = inherited_trace_state(cx, &parent);
            self.begin(local, cx, &parent, trace_state)
        });
        self.read_start(local);
        cx
    }

    /// Starts a leaf: the same parent, nothing to attach. Gives the id that OpenTelemetry's context has meanwhile,
    /// or `None` where nothing changes.
    #[inline]
    pub(super) fn start_leaf(&mut self, local: &Local) -> Option<u64> {
        let (parent, active) = Context::map_current(|cx| {
            (!cx.is_telemetry_suppressed())
                .then(|| (Found::by_current(local, cx), Found::by_context(cx).span))
        })?;
        if !local.is_alive() {
            return None;
        }
        if self.decide(local, &parent) {
            self.phase = Phase::Recording;
        } else if parent.span != 0 {
            return None;
        }
        self.flags |= flag::LEAF;
        self.read_start(local);
        Some(active)
    }

    /// Starts the span as the options say; asks a custom sampler, if there is one.
    #[cold]
    pub(super) fn start_with(&mut self, local: &Local, options: Options) -> Option<Context> {
        let current = Context::current();
        if current.is_telemetry_suppressed() {
            return None;
        }
        let Options { name, kind, parent, mut links, scope, mut attributes } = options;
        let is_named = matches!(parent, Parent::Context(_) | Parent::Span(_));
        let (base, found, mut trace_state) = match parent {
            Parent::Current => {
                let found = Found::by_current(local, &current);
                let trace_state = inherited_trace_state(&current, &found);
                (current, found, trace_state)
            }
            Parent::Root => {
                let caller = Found::by_current(local, &current);
                if caller.span != 0 {
                    links.push(opentelemetry::trace::Link::new(caller.to_span_context(), Vec::new(), 0));
                }
                (current, Found::ROOT, None)
            }
            Parent::Context(cx) => {
                let found = Found::by_context(&cx);
                let trace_state = inherited_trace_state(&cx, &found);
                (cx, found, trace_state)
            }
            Parent::Span(span) => {
                let found = Found::from_span_context(&span);
                let trace_state =
                    (*span.trace_state() != TraceState::NONE).then(|| span.trace_state().clone());
                (current.with_remote_span_context(span), found, trace_state)
            }
        };
        let cx = if sampler::current_state() == state::ASK {
            let asked = self.ask(local, &base, &found, name.as_deref(), &links, &mut attributes)?;
            trace_state = (asked.trace_state != TraceState::NONE).then_some(asked.trace_state);
            self.begin_decided(&base, &found, trace_state, asked.recording)
        } else {
            let begun = self.begin(local, &base, &found, trace_state);
            // An unsampled parent that was named is current inside, or what begins there would be the root of a trace.
            begun.or_else(|| (is_named && self.phase == Phase::Idle).then_some(base))
        };
        if self.phase != Phase::Idle {
            let said = name.is_some()
                || kind.is_some()
                || scope.is_some()
                || !links.is_empty()
                || !attributes.is_empty();
            if said {
                let side = self.side.get_or_insert_default();
                side.name = name;
                side.kind = kind;
                side.scope = scope;
                links.into_iter().for_each(|link| side.add_link(link));
                attributes.into_iter().for_each(|attribute| side.set_attribute(attribute));
            }
        }
        self.read_start(local);
        cx
    }

    /// Decides by the parent, or for a root by its trace id; then takes ids and a live cell. Gives the context of
    /// the new span, or for an unsampled root the context that keeps everything below it unsampled.
    #[inline]
    fn begin(
        &mut self,
        local: &Local,
        base: &Context,
        parent: &Found,
        trace_state: Option<TraceState>,
    ) -> Option<Context> {
        if !local.is_alive() {
            return None;
        }
        if !self.decide(local, parent) {
            // Under an unsampled parent the current context says all there is to say.
            return (parent.span == 0)
                .then(|| base.with_remote_span_context(self.to_span_context(trace_state)));
        }
        self.begin_decided(base, parent, trace_state, Phase::Recording)
    }

    /// Takes trace id and span id and gives whether the span is sampled.
    #[inline]
    fn decide(&mut self, local: &Local, parent: &Found) -> bool {
        if parent.span == 0 {
            self.trace = [local.next_id(), local.next_id()];
            self.trace_flags = u8::from(sampler::samples_root(self.trace[1]));
        } else {
            self.trace = parent.trace;
            self.trace_flags = parent.trace_flags;
            if self.trace_flags & 1 == 0 {
                return false;
            }
        }
        self.span = local.next_id();
        self.parent = parent.span;
        self.flags = if parent.is_remote { flag::REMOTE_PARENT } else { 0 };
        self.trace_flags & 1 != 0
    }

    #[inline]
    fn begin_decided(
        &mut self,
        base: &Context,
        _parent: &Found,
        trace_state: Option<TraceState>,
        phase: Phase,
    ) -> Option<Context> {
        let span_context = self.to_span_context(trace_state.clone());
        if phase == Phase::Idle {
            return Some(base.with_remote_span_context(span_context));
        }
        if let Some(trace_state) = trace_state {
            self.side.get_or_insert_default().trace_state = Some(trace_state);
        }
        let live = live::acquire();
        self.generation = live.generation();
        self.live = Some(live);
        self.phase = phase;
        Some(base.with_span(Handle::new(span_context, live, self.generation)))
    }

    /// The last thing on the way in: what comes before is not the user's time.
    #[inline]
    fn read_start(&mut self, local: &Local) {
        if self.phase == Phase::Idle {
            return;
        }
        if self.phase == Phase::Recording {
            local.count_started();
        }
        if thread::panicking() {
            self.flags |= flag::BEGAN_IN_PANIC;
        }
        let now = clock::now();
        if now.is_ticks {
            self.flags |= flag::TICKS;
        }
        self.start = now.value;
    }

    pub(super) fn as_current(&self) -> Current {
        Current {
            trace: self.trace,
            span: self.span,
            trace_flags: self.trace_flags,
            leaf: self.flags & flag::LEAF != 0,
        }
    }

    pub(super) fn to_span_context(&self, trace_state: Option<TraceState>) -> SpanContext {
        SpanContext::new(
            TraceId::from(join(self.trace)),
            SpanId::from(self.span),
            TraceFlags::new(self.trace_flags),
            false,
            trace_state.unwrap_or(TraceState::NONE),
        )
    }

    /// The context of this span again, under another base.
    pub(super) fn context_under(&self, base: &Context) -> Option<Context> {
        let live = self.live?;
        let trace_state = self.side.as_ref().and_then(|side| side.trace_state.clone());
        Some(base.with_span(Handle::new(self.to_span_context(trace_state), live, self.generation)))
    }

    pub(super) fn span_id(&self) -> u64 {
        self.span
    }

    /// Records the value of one of the site's keys.
    #[inline]
    pub(super) fn set(&mut self, index: usize, value: FieldValue) {
        match self.values.get_mut(index) {
            Some(slot) if limits::current().value_length.is_none() => *slot = value,
            _ => self.set_aside(index, value),
        }
    }

    #[cold]
    fn set_aside(&mut self, index: usize, value: FieldValue) {
        let Some(key) = self.site.keys.get(index) else { return };
        if let Some(value) = value.into_value() {
            self.side.get_or_insert_default().set_attribute(KeyValue::new(*key, value));
        }
    }

    pub(super) fn side(&mut self) -> &mut Side {
        self.side.get_or_insert_default()
    }

    /// The end of a span whose function returned.
    #[inline]
    pub(super) fn finish(&mut self, outcome: Outcome) {
        if let Outcome::Failed { error_type, description } = outcome {
            self.fail(error_type, description.unwrap_or_default());
        }
        self.end(0);
    }

    #[cold]
    pub(super) fn fail(
        &mut self,
        error_type: std::borrow::Cow<'static, str>,
        description: std::borrow::Cow<'static, str>,
    ) {
        let side = self.side();
        side.set_attribute(KeyValue::new("error.type", error_type));
        side.set_status(opentelemetry::trace::Status::Error { description });
    }

    /// Ends the span: from here on, handles find nothing. `how` is zero or one of the flags for an end that was no
    /// return.
    #[inline]
    pub(super) fn end(&mut self, how: u8) {
        if self.phase == Phase::Idle {
            return;
        }
        let end = clock::read(self.flags & flag::TICKS != 0);
        if let Some(live) = self.live.take() {
            if let Some(written) = live.take(self.generation) {
                self.merge(written);
            }
            live.retire(self.generation);
            live::release(live);
        }
        self.take_leaf_writes();
        let phase = std::mem::replace(&mut self.phase, Phase::Idle);
        if phase == Phase::Recording {
            self.hand_over(end, how);
        }
    }

    /// Takes what was written to this leaf on this thread.
    #[inline]
    pub(super) fn take_leaf_writes(&mut self) {
        if local::with(|local| local.leaf_writes.get())
            && let Some(written) = current::take_leaf(self.span)
        {
            self.merge(written);
        }
    }

    /// The flag for an end by `Drop`: a panic that began inside the span, else `otherwise`.
    #[inline]
    pub(super) fn how_dropped(&self, otherwise: u8) -> u8 {
        if thread::panicking() && self.flags & flag::BEGAN_IN_PANIC == 0 { flag::PANICKED } else { otherwise }
    }

    #[inline]
    fn hand_over(&mut self, end: u64, how: u8) {
        if !local::with(Local::count_ended) {
            counters::dropped(DropReason::ThreadExit, 1);
            return;
        }
        let record = Record {
            site: self.site,
            trace: self.trace,
            span: self.span,
            parent: self.parent,
            start: self.start,
            end,
            flags: self.flags | how,
            trace_flags: self.trace_flags,
            values: std::mem::replace(&mut self.values, [const { FieldValue::Null }; INLINE]),
            side: self.side.take(),
        };
        let heap_bytes = record.heap_bytes();
        chunk::push(Entry::Span(record), heap_bytes);
    }

    /// What others wrote comes after what the span was given, and overwrites it. A field of the site that is
    /// written again is overwritten by the collector.
    #[cold]
    pub(super) fn merge(&mut self, written: Side) {
        match &mut self.side {
            Some(side) => side.merge(written),
            None => self.side = Some(Box::new(written)),
        }
    }

    #[cold]
    fn ask(
        &mut self,
        local: &Local,
        base: &Context,
        parent: &Found,
        name: Option<&str>,
        links: &[opentelemetry::trace::Link],
        attributes: &mut Vec<KeyValue>,
    ) -> Option<Asked> {
        let sampler = sampler::custom()?;
        if !local.is_alive() {
            return None;
        }
        if parent.span == 0 {
            self.trace = [local.next_id(), local.next_id()];
        } else {
            self.trace = parent.trace;
        }
        self.span = local.next_id();
        self.parent = parent.span;
        self.flags = if parent.is_remote { flag::REMOTE_PARENT } else { 0 };
        let kind = SpanKind::from(self.site.kind);
        let parent_context = (parent.span != 0).then_some(base);
        let answer = sampler.should_sample(
            parent_context,
            TraceId::from(join(self.trace)),
            name.unwrap_or(self.site.name),
            &kind,
            attributes,
            links,
        );
        attributes.extend(answer.attributes);
        let (recording, sampled) = match answer.decision {
            SamplingDecision::Drop => (Phase::Idle, 0),
            SamplingDecision::RecordOnly => (Phase::RecordOnly, 0),
            SamplingDecision::RecordAndSample => (Phase::Recording, 1),
        };
        self.trace_flags = (parent.trace_flags & !1) | sampled;
        Some(Asked { recording, trace_state: answer.trace_state })
    }
}

impl Found {
    fn to_span_context(&self) -> SpanContext {
        SpanContext::new(
            TraceId::from(join(self.trace)),
            SpanId::from(self.span),
            TraceFlags::new(self.trace_flags),
            self.is_remote,
            TraceState::NONE,
        )
    }
}

/// A custom sampler's answer.
struct Asked {
    recording: Phase,
    trace_state: TraceState,
}

#[inline]
fn inherited_trace_state(cx: &Context, parent: &Found) -> Option<TraceState> {
    if parent.span == 0 {
        return None;
    }
    let span = cx.span();
    let trace_state = span.span_context().trace_state();
    (*trace_state != TraceState::NONE).then(|| trace_state.clone())
}

/// Our innermost span on this thread, if it is newer than whatever OpenTelemetry's context names.
pub(super) fn innermost(local: &Local, cx: &Context) -> Option<Current> {
    let current = local.current.get();
    (current.span != 0 && Found::by_context(cx).span == local.attached.get()).then_some(current)
}

impl Current {
    /// As OpenTelemetry's type, without the `tracestate`, which only the context knows.
    pub(super) fn to_span_context(self) -> SpanContext {
        SpanContext::new(
            TraceId::from(join(self.trace)),
            SpanId::from(self.span),
            TraceFlags::new(self.trace_flags),
            false,
            TraceState::NONE,
        )
    }
}
