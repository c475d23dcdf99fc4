//! Trace context in headers: strict W3C codec, B3 and Jaeger formats, and the carriers they are read from.
//!
//! Headers are hostile: names and values may be any bytes, null, repeated, huge. A malformed one starts a new trace and
//! is counted in [`refused`]; nothing here panics, and limits hold before anything is allocated.
//!
//! | limit | value | above it |
//! |---|---|---|
//! | headers looked at, from the last one | 1,024 | the others are not seen |
//! | `traceparent` | 512 bytes | not parsed |
//! | `tracestate`, all headers together | 8,192 bytes, 32 members | dropped whole, the trace is kept |
//! | `baggage`, all headers together | 8,192 bytes, 64 members | dropped whole, the trace is kept |
//! | any other propagator's value | 8,192 bytes | counts as absent |

mod b3;
mod baggage;
mod bridge;
mod carrier;
mod fields;
#[cfg(any(feature = "server", feature = "viewer"))]
mod http;
mod jaeger;
mod propagator;
mod refused;
mod traceparent;
mod tracestate;
mod w3c;

use opentelemetry::propagation::TextMapPropagator;
#[cfg(feature = "kafka")]
use opentelemetry::trace::{TraceContextExt as _, TraceState};
use opentelemetry::{Context, global};

#[cfg(feature = "kafka")]
pub(crate) use carrier::is_one_of;
pub use carrier::{HeaderEdit, HeaderView};
pub use fields::{Fields, FieldsMut};
pub(crate) use propagator::register;
pub use propagator::{Format, Propagator, UnknownPropagator};
#[cfg(feature = "kafka")]
pub(crate) use refused::refuse;
pub use refused::{Refusal, Refused, refused};
#[cfg(feature = "kafka")]
pub(crate) use traceparent::Traceparent;
pub use w3c::{Duplicates, set_duplicates};

/// Writes the current span and baggage into `headers`, in place of the trace headers that are there.
///
/// ```
/// let mut headers: Vec<(String, Vec<u8>)> = vec![("x-tenant".to_owned(), b"acme".to_vec())];
/// throughline::inject_trace_context(&mut headers);
/// assert_eq!(headers[0].0, "x-tenant");
/// ```
///
/// Uses the global propagator; without one nothing is written. Without a current span the trace headers are neither
/// written nor removed, so that a service which does not trace passes them on. However often a message is forwarded, it
/// carries one `traceparent`.
pub fn inject_trace_context<H: HeaderEdit + ?Sized>(headers: &mut H) {
    inject_context(&crate::span::current::context(), headers);
}

/// Writes the span and baggage of `cx` into `headers`; otherwise like [`inject_trace_context`].
pub fn inject_context<H: HeaderEdit + ?Sized>(cx: &Context, headers: &mut H) {
    if propagator::is_default_standing() {
        return w3c::inject(cx, headers, w3c::Parts::ALL);
    }
    global::get_text_map_propagator(|propagator| match w3c_parts(propagator) {
        Some(parts) => w3c::inject(cx, headers, parts),
        None => bridge::inject(propagator, cx, headers),
    });
}

/// The context that `headers` carry, on an empty [`Context`]: it holds a span only if a valid one came.
///
/// ```
/// use throughline::opentelemetry::trace::TraceContextExt;
///
/// throughline::opentelemetry::global::set_text_map_propagator(throughline::propagation::Propagator::default());
/// let headers = vec![("traceparent".to_owned(), b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_vec())];
/// let cx = throughline::extract_trace_context(&headers);
/// assert!(cx.span().span_context().is_remote());
/// ```
///
/// Uses the global propagator; without one the context is empty.
pub fn extract_trace_context<H: HeaderView + ?Sized>(headers: &H) -> Context {
    extract_onto(&Context::new(), headers)
}

/// `cx` with the span and baggage that `headers` carry; otherwise like [`extract_trace_context`].
pub fn extract_onto<H: HeaderView + ?Sized>(cx: &Context, headers: &H) -> Context {
    if propagator::is_default_standing() {
        return w3c::extract(cx, headers, w3c::Parts::ALL, w3c::duplicates());
    }
    global::get_text_map_propagator(|propagator| match w3c_parts(propagator) {
        Some(parts) => w3c::extract(cx, headers, parts, w3c::duplicates()),
        None => bridge::extract(propagator, cx, headers),
    })
}

/// What came with a message.
#[cfg(feature = "kafka")]
#[derive(Debug)]
pub(crate) enum Came {
    /// A span, or none, and nothing else: no `tracestate`, no baggage.
    Only(Option<Traceparent>),
    /// A context, because more than that came, or because another propagator is configured.
    Context(Context),
}

#[cfg(feature = "kafka")]
impl Came {
    /// What the global propagator finds in `headers`. A `Context` is made only where one is needed: most messages carry
    /// one `traceparent`, which allocates nothing.
    #[inline]
    pub(crate) fn in_headers<H: HeaderView + ?Sized>(headers: &H) -> Self {
        if propagator::is_default_standing() {
            return Self::in_w3c_headers(headers, w3c::Parts::ALL);
        }
        global::get_text_map_propagator(|propagator| match w3c_parts(propagator) {
            Some(parts) => Self::in_w3c_headers(headers, parts),
            None => Came::Context(bridge::extract(propagator, &Context::new(), headers)),
        })
    }

    #[inline]
    fn in_w3c_headers<H: HeaderView + ?Sized>(headers: &H, parts: w3c::Parts) -> Self {
        match w3c::only_span(headers, parts) {
            Some(span) => Came::Only(span),
            None => Came::Context(w3c::extract(&Context::new(), headers, parts, w3c::duplicates())),
        }
    }

    /// What a context that came with a message holds.
    pub(crate) fn in_context(cx: &Context) -> Self {
        use opentelemetry::baggage::BaggageExt as _;

        let only = {
            let span = cx.span();
            let span = span.span_context();
            let is_plain = (span.is_remote() || !span.is_valid())
                && *span.trace_state() == TraceState::NONE
                && cx.baggage().is_empty()
                && cx.get::<tracestate::RawTraceState>().is_none();
            is_plain.then(|| {
                span.is_valid().then(|| Traceparent {
                    trace_id: span.trace_id(),
                    span_id: span.span_id(),
                    flags: span.trace_flags(),
                })
            })
        };
        only.map_or_else(|| Came::Context(cx.clone()), Came::Only)
    }

    /// As a context.
    pub(crate) fn into_context(self) -> Context {
        match self {
            Came::Only(None) => Context::new(),
            Came::Only(Some(span)) => {
                Context::new().with_remote_span_context(span.to_span_context(TraceState::NONE))
            }
            Came::Context(cx) => cx,
        }
    }
}

/// The parts of the W3C codec that do what `propagator` does, judged by its fields. The codec is stricter and some ten
/// times faster than the stock propagators, so it takes their place wherever they are configured.
fn w3c_parts(propagator: &dyn TextMapPropagator) -> Option<w3c::Parts> {
    let mut parts = w3c::Parts { trace: false, baggage: false };
    let mut state = false;
    if propagator.fields().next().is_some_and(propagator::is_first_of_default) {
        return Some(w3c::Parts::ALL);
    }
    for field in propagator.fields() {
        match field {
            w3c::TRACEPARENT => parts.trace = true,
            w3c::TRACESTATE => state = true,
            w3c::BAGGAGE => parts.baggage = true,
            _ => return None,
        }
    }
    (parts.trace && state).then_some(parts)
}

/// `base` with the tracestate that travels beside the span which was extracted into `remote`.
#[cfg(feature = "kafka")]
pub(crate) fn with_state_of(base: Context, remote: &Context) -> Context {
    match remote.get::<tracestate::RawTraceState>() {
        Some(raw) => base.with_value(raw.clone()),
        None => base,
    }
}

/// `base` with the baggage that was extracted into `remote`; where both have a key, the sender's value counts.
#[cfg(feature = "kafka")]
pub(crate) fn with_baggage_of(base: Context, remote: &Context) -> Context {
    use opentelemetry::baggage::{Baggage, BaggageExt as _};

    if remote.baggage().is_empty() {
        return base;
    }
    let entries = base.baggage().iter().chain(remote.baggage().iter());
    let merged: Baggage = entries.map(|(key, value)| (key.clone(), value.clone())).collect();
    base.with_baggage(merged)
}

/// `cx` with more baggage; where both have a key, the new value counts.
#[cfg(feature = "kafka")]
pub(crate) fn with_baggage(cx: Context, entries: &[(String, String)]) -> Context {
    use opentelemetry::baggage::{Baggage, BaggageExt as _};

    if entries.is_empty() {
        return cx;
    }
    let mut baggage: Baggage = cx.baggage().iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    for (key, value) in entries {
        baggage.insert(key.clone(), value.clone());
    }
    cx.with_baggage(baggage)
}

/// Calls `work` with the names of the headers that the global propagator reads and writes, in lower case.
#[cfg(feature = "kafka")]
pub(crate) fn with_fields<R>(mut work: impl FnMut(&[&str]) -> R) -> R {
    global::get_text_map_propagator(|propagator| work(&propagator.fields().collect::<Vec<_>>()))
}

/// Whether the global propagator writes anything at all; if not, a message carries no context of ours.
#[cfg(feature = "kafka")]
pub(crate) fn propagates() -> bool {
    propagator::is_default_standing()
        || global::get_text_map_propagator(|propagator| propagator.fields().next().is_some())
}

/// The codec alone, for the benchmark and the comparison of parsers.
#[doc(hidden)]
pub mod codec {
    use super::{Context, HeaderEdit, HeaderView, traceparent, w3c};

    const PARTS: w3c::Parts = w3c::Parts::ALL;

    /// Trace id, span id and flags of a `traceparent`.
    pub fn parse_traceparent(value: &[u8]) -> Option<(u128, u64, u8)> {
        let parsed = traceparent::parse(value)?;
        let trace_id = u128::from_be_bytes(parsed.trace_id.to_bytes());
        Some((trace_id, u64::from_be_bytes(parsed.span_id.to_bytes()), parsed.flags.to_u8()))
    }

    /// Extraction by the W3C codec, whatever the global propagator is.
    pub fn extract<H: HeaderView + ?Sized>(
        cx: &Context,
        headers: &H,
        duplicates: super::Duplicates,
    ) -> Context {
        w3c::extract(cx, headers, PARTS, duplicates)
    }

    /// Injection by the W3C codec, whatever the global propagator is.
    pub fn inject<H: HeaderEdit + ?Sized>(cx: &Context, headers: &mut H) {
        w3c::inject(cx, headers, PARTS);
    }
}
