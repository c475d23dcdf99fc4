//! The start of a span with options, with a `tracestate`, or with a sampler that must be asked.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use opentelemetry::Context;
use opentelemetry::trace::{Link, SpanContext, SpanKind, TraceContextExt, TraceState};
use opentelemetry_sdk::trace::SamplingDecision;

use super::clock::Reading;
use super::core::Core;
use super::counters;
use super::found::{Found, Sampled, decide, link_to, trace_id};
use super::leaf::{Leaf, active_span};
use super::live::{Handle, place};
use super::local::Local;
use super::message::{Details, Given};
use super::options::{Options, Parent};
use super::record::flag;
use super::sampler::{self, state};
use crate::diagnostics;

/// What the parent's context gives besides the parent.
struct Base {
    cx: Context,
    /// The parent, where the context does not name it.
    remote: Option<SpanContext>,
    parent: Found,
    trace_state: TraceState,
}

impl Base {
    fn by_context(cx: Context, parent: Found) -> Self {
        let trace_state =
            if parent.span == 0 { TraceState::NONE } else { cx.span().span_context().trace_state().clone() };
        Self { cx, remote: None, parent, trace_state }
    }

    /// A context that names the parent.
    fn into_context(self) -> Context {
        match self.remote {
            Some(span) => self.cx.with_remote_span_context(span),
            None => self.cx,
        }
    }
}

/// What the options come to.
enum Told {
    /// Nothing records. The context to attach; `None` where nothing changes.
    Nothing(Option<Context>),
    /// The record is made, below this parent.
    Span { cx: Context, span_context: SpanContext, is_current: bool, begun: Option<Reading> },
}

impl Core {
    /// Starts the span as the options say. Gives the context to attach; `None` where nothing changes.
    #[cold]
    #[inline(never)]
    pub(super) fn begin_with(&mut self, local: &Local, mut options: Options) -> Option<Context> {
        let Some(stats) = local.stats() else {
            counters::lost();
            return None;
        };
        let mut message = options.message.take();
        match self.told(local, options, &mut message) {
            Told::Nothing(cx) => cx,
            Told::Span { cx, span_context, begun, .. } => {
                let (live, generation) = local.live.acquire();
                self.live = Some((live, generation));
                if let (Some((given, details)), Some(record)) = (message, self.record_mut()) {
                    live.message.put(&details);
                    record.given = Some(given);
                }
                let cx = cx.with_span(Handle::<{ place::TOLD }>::new(span_context, live, generation));
                self.start_now(stats, begun);
                Some(cx)
            }
        }
    }

    /// Starts a leaf as the options say. Gives the context to attach, and what this thread has to know; `None` where
    /// nothing changes. What is attached is the parent, where that is not the current span already: what others do
    /// inside of a leaf belongs to its trace, one level too high.
    #[cold]
    #[inline(never)]
    pub(super) fn begin_leaf_with(
        &mut self,
        local: &Local,
        mut options: Options,
    ) -> (Option<Context>, Option<Leaf>) {
        if let Parent::Remote(span, cx) = options.parent {
            options.parent = Parent::Context(cx.with_remote_span_context(span));
        }
        let Some(stats) = local.stats() else {
            counters::lost();
            return (None, None);
        };
        match self.told(local, options, &mut None) {
            Told::Nothing(cx) => (cx, None),
            Told::Span { cx, is_current, begun, .. } => {
                let leaf = self.as_leaf(active_span(&cx));
                self.start_now(stats, begun);
                ((!is_current).then_some(cx), Some(leaf))
            }
        }
    }

    /// Decides, and makes the record with what the options say.
    fn told(
        &mut self,
        local: &Local,
        options: Options,
        message: &mut Option<(&'static Given, Details)>,
    ) -> Told {
        let current = Context::current();
        if current.is_telemetry_suppressed() {
            return Told::Nothing(None);
        }
        let Options { name, kind, parent, mut links, scope, mut attributes, begun, message: _ } = options;
        let is_named = matches!(parent, Parent::Context(_) | Parent::Span(_) | Parent::Remote(..));
        let is_current = matches!(parent, Parent::Current);
        let mut base = match parent {
            Parent::Current => {
                let found = Found::by_current(local, &current);
                Base::by_context(current, found)
            }
            Parent::Root => {
                links.extend(link_to(Found::by_current(local, &current)));
                let cx = current.with_remote_span_context(SpanContext::NONE);
                Base { cx, remote: None, parent: Found::NONE, trace_state: TraceState::NONE }
            }
            Parent::Context(cx) => {
                let found = Found::by_context(&cx);
                Base::by_context(cx, found)
            }
            Parent::Span(span) => Base {
                parent: Found::from_span_context(&span),
                trace_state: span.trace_state().clone(),
                cx: current.with_remote_span_context(span),
                remote: None,
            },
            Parent::Remote(span, cx) => Base {
                parent: Found::from_span_context(&span),
                trace_state: span.trace_state().clone(),
                cx,
                remote: Some(span),
            },
        };
        let kind_at_start = kind.unwrap_or(self.site.kind);
        let (sampled, trace_state) = if sampler::current_state() == state::ASK {
            let given_name = message.as_ref().map(|(given, _)| given.name());
            let name = name.as_deref().or(given_name).unwrap_or(self.site.name);
            // A sampler sees what the record shares. And it may give the span flags and a state that are not the
            // parent's, so the link to that must be held.
            let mut seen = Vec::new();
            if let Some((given, details)) = message {
                given.add_start(details, &mut seen);
                if let Some(parent) = base.remote.as_ref().filter(|_| details.take_links_parent()) {
                    links.insert(0, Link::with_context(parent.clone()));
                }
            }
            seen.extend_from_slice(&attributes);
            if let Some(parent) = base.remote.take() {
                base.cx = base.cx.with_remote_span_context(parent);
            }
            let asked = ask(local, &base, name, &kind_at_start.into(), &seen, &links);
            let Some(asked) = asked else { return Told::Nothing(None) };
            attributes.extend(asked.attributes);
            if asked.sampled.records {
                self.make_record(asked.sampled, base.parent, asked.flags);
            }
            (asked.sampled, asked.trace_state)
        } else {
            let Some(sampled) = decide(local, base.parent) else {
                // An unsampled parent that was named is current inside, or what begins there would be the root of
                // a new trace.
                return Told::Nothing(is_named.then(|| base.into_context()));
            };
            if sampled.records {
                self.make_record(sampled, base.parent, 0);
            }
            (sampled, base.trace_state)
        };
        let span_context = sampled.span_context(trace_state.clone());
        let Some(record) = self.record_mut() else {
            return Told::Nothing(Some(base.cx.with_remote_span_context(span_context)));
        };
        if trace_state != TraceState::NONE {
            record.side().trace_state = Some(trace_state);
        }
        let said = name.is_some()
            || kind.is_some()
            || scope.is_some()
            || !links.is_empty()
            || !attributes.is_empty();
        if said {
            let side = record.side();
            side.name = name;
            side.kind = kind;
            side.scope = scope;
            links.into_iter().for_each(|link| side.add_link(link));
            attributes.into_iter().for_each(|attribute| side.set_attribute(attribute));
        }
        Told::Span { cx: base.cx, span_context, is_current, begun }
    }
}

/// A custom sampler's answer.
struct Asked {
    sampled: Sampled,
    flags: u8,
    trace_state: TraceState,
    attributes: Vec<opentelemetry::KeyValue>,
}

#[cold]
fn warn_once() {
    static WARNED: Once = Once::new();
    WARNED.call_once(|| {
        diagnostics::warn(format_args!(
            "the sampler panicked; spans that it is asked for are not recorded then"
        ));
    });
}

fn ask(
    local: &Local,
    base: &Base,
    name: &str,
    kind: &SpanKind,
    attributes: &[opentelemetry::KeyValue],
    links: &[Link],
) -> Option<Asked> {
    let sampler = sampler::custom()?;
    let trace = if base.parent.span == 0 { local.ids.next_trace() } else { base.parent.trace };
    let parent_context = (base.parent.span != 0).then_some(&base.cx);
    let asked = AssertUnwindSafe(|| {
        sampler.should_sample(parent_context, trace_id(trace), name, kind, attributes, links)
    });
    // A user's code: its panic costs this span, and nobody below.
    let Ok(answer) = catch_unwind(asked) else {
        warn_once();
        return None;
    };
    let (records, sampled, flags) = match answer.decision {
        SamplingDecision::Drop => (false, 0, 0),
        SamplingDecision::RecordOnly => (true, 0, flag::RECORD_ONLY),
        SamplingDecision::RecordAndSample => (true, 1, 0),
    };
    let trace_flags = (base.parent.trace_flags & !1) | sampled;
    Some(Asked {
        sampled: Sampled { trace, span: local.ids.next_span(), trace_flags, records },
        flags,
        trace_state: answer.trace_state,
        attributes: answer.attributes,
    })
}
