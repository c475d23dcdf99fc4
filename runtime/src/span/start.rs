//! The start of a span with options, with a `tracestate`, or with a sampler that must be asked.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use opentelemetry::Context;
use opentelemetry::trace::{Link, SpanKind, TraceContextExt, TraceState};
use opentelemetry_sdk::trace::SamplingDecision;

use super::core::Core;
use super::counters;
use super::found::{Found, Sampled, decide, link_to, trace_id};
use super::live::{Handle, place};
use super::local::Local;
use super::options::{Options, Parent};
use super::record::flag;
use super::sampler::{self, state};
use crate::diagnostics;

/// What the parent's context gives besides the parent.
struct Base {
    cx: Context,
    parent: Found,
    trace_state: TraceState,
}

impl Base {
    fn by_context(cx: Context, parent: Found) -> Self {
        let trace_state =
            if parent.span == 0 { TraceState::NONE } else { cx.span().span_context().trace_state().clone() };
        Self { cx, parent, trace_state }
    }
}

impl Core {
    /// Starts the span as the options say. Gives the context to attach; `None` where nothing changes.
    #[cold]
    #[inline(never)]
    pub(super) fn begin_with(&mut self, local: &Local, options: Options) -> Option<Context> {
        let Some(stats) = local.stats() else {
            counters::lost();
            return None;
        };
        let current = Context::current();
        if current.is_telemetry_suppressed() {
            return None;
        }
        let Options { name, kind, parent, mut links, scope, mut attributes, begun } = options;
        let is_named = matches!(parent, Parent::Context(_) | Parent::Span(_));
        let base = match parent {
            Parent::Current => {
                let found = Found::by_current(local, &current);
                Base::by_context(current, found)
            }
            Parent::Root => {
                links.extend(link_to(Found::by_current(local, &current)));
                Base { cx: current, parent: Found::NONE, trace_state: TraceState::NONE }
            }
            Parent::Context(cx) => {
                let found = Found::by_context(&cx);
                Base::by_context(cx, found)
            }
            Parent::Span(span) => Base {
                parent: Found::from_span_context(&span),
                trace_state: span.trace_state().clone(),
                cx: current.with_remote_span_context(span),
            },
        };
        let kind_at_start = kind.unwrap_or(self.site.kind);
        let (sampled, trace_state) = if sampler::current_state() == state::ASK {
            let name = name.as_deref().unwrap_or(self.site.name);
            let asked = ask(local, &base, name, &kind_at_start.into(), &attributes, &links)?;
            attributes.extend(asked.attributes);
            if asked.sampled.records {
                self.make_record(asked.sampled, base.parent, asked.flags);
            }
            (asked.sampled, asked.trace_state)
        } else {
            let Some(sampled) = decide(local, base.parent) else {
                // An unsampled parent that was named is current inside, or what begins there would be the root of
                // a new trace.
                return is_named.then_some(base.cx);
            };
            if sampled.records {
                self.make_record(sampled, base.parent, 0);
            }
            (sampled, base.trace_state)
        };
        let span_context = sampled.span_context(trace_state.clone());
        let Some(record) = self.record_mut() else {
            return Some(base.cx.with_remote_span_context(span_context));
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
        let (live, generation) = local.live.acquire();
        self.live = Some((live, generation));
        let cx = base.cx.with_span(Handle::<{ place::OTHER }>::new(span_context, live, generation));
        self.start_now(stats);
        if let (Some(begun), Some(record)) = (begun, self.record_mut()) {
            record.start = begun.value;
            record.flags =
                if begun.is_ticks { record.flags | flag::TICKS } else { record.flags & !flag::TICKS };
        }
        Some(cx)
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
