//! Messages that carry their own trace context, for any broker and any envelope.
//!
//! `#[derive(TraceContext)]` expands to one of the two shapes below (`RT` is `::throughline::__private`). With
//! `#[trace(headers)]` on a field that implements `HeaderView` and `HeaderEdit`:
//!
//! ```text
//! impl<GENERICS> RT::TraceContext for Order<GENERICS> where .. {
//!     fn inject_context(&mut self, cx: &RT::opentelemetry::Context) { RT::inject_context(cx, &mut self.headers) }
//!     fn extract_trace_context(&self) -> RT::opentelemetry::Context { RT::extract_trace_context(&self.headers) }
//! }
//! ```
//!
//! With `#[trace(traceparent)]`, `#[trace(tracestate)]`, `#[trace(baggage)]` on fields of type `Option<String>`, each
//! optional but at least one; a field that is absent is left out of the builder chain:
//!
//! ```text
//! impl<GENERICS> RT::TraceContext for Order<GENERICS> where .. {
//!     fn inject_context(&mut self, cx: &RT::opentelemetry::Context) {
//!         RT::inject_context(cx, &mut RT::FieldsMut::new().traceparent(&mut self.tp).tracestate(&mut self.ts).baggage(&mut self.bg))
//!     }
//!     fn extract_trace_context(&self) -> RT::opentelemetry::Context {
//!         RT::extract_trace_context(&RT::Fields::new().traceparent(&self.tp).tracestate(&self.ts).baggage(&self.bg))
//!     }
//! }
//! ```
//!
//! The other methods of the trait have defaults.

use opentelemetry::Context;
use opentelemetry::trace::{Link, TraceContextExt as _};

use crate::propagation::Duplicates;

/// A message that carries a trace context; see `#[derive(TraceContext)]`.
pub trait TraceContext {
    /// Writes the span and baggage of `cx` into the message, in place of what it carried.
    fn inject_context(&mut self, cx: &Context);

    /// The context that the message carries, on an empty [`Context`]: it holds a span only if a valid one came.
    fn extract_trace_context(&self) -> Context;

    /// Writes the current span and baggage into the message, in place of what it carried.
    fn inject_trace_context(&mut self) {
        self.inject_context(&crate::span::current::context());
    }

    /// The topic that the message goes to, where its type knows it; names the span that created it.
    #[doc(hidden)]
    fn destination(&self) -> Option<&str> {
        None
    }

    /// A link to the span that wrote the message, if it carries one.
    fn trace_link(&self) -> Option<Link> {
        let cx = self.extract_trace_context();
        let span = cx.span().span_context().clone();
        span.is_valid().then(|| Link::with_context(span))
    }
}

/// The creation context of a message that is built or forwarded by hand.
///
/// *Received* contexts came with a message and are replaced when it is sent on; *custom* ones were set on purpose and
/// are kept by the producer, whose span then links to them.
#[derive(Clone, Debug, Default)]
pub struct CreationContext(State);

#[derive(Clone, Debug, Default)]
enum State {
    #[default]
    None,
    Received(Context),
    Custom(Context),
}

impl CreationContext {
    /// No context: the producer writes that of its own span.
    pub fn none() -> Self {
        Self::default()
    }

    /// A context that came with a message. Sending the message on replaces it.
    pub fn received(cx: Context) -> Self {
        CreationContext(State::Received(cx))
    }

    /// A context that the producer must keep.
    pub fn custom(cx: Context) -> Self {
        CreationContext(State::Custom(cx))
    }

    /// Makes `cx` the context that the producer must keep.
    pub fn set(&mut self, cx: Context) {
        self.0 = State::Custom(cx);
    }

    /// Turns a received context into one that the producer must keep.
    #[must_use]
    pub fn keep(self) -> Self {
        match self.0 {
            State::Received(cx) => CreationContext(State::Custom(cx)),
            other => CreationContext(other),
        }
    }

    /// The context, received or custom.
    pub fn context(&self) -> Option<&Context> {
        match &self.0 {
            State::None => None,
            State::Received(cx) | State::Custom(cx) => Some(cx),
        }
    }

    /// Whether the producer keeps this context instead of writing its own span's.
    pub fn is_custom(&self) -> bool {
        matches!(self.0, State::Custom(_))
    }
}

/// Two are equal if they name the same span: trace id, span id, flags and tracestate. How a context came, and its
/// baggage, do not count; so a message that was sent and received equals itself.
impl PartialEq for CreationContext {
    fn eq(&self, other: &Self) -> bool {
        let span = |creation: &Self| {
            let span = creation.context()?.span().span_context().clone();
            span.is_valid().then_some(span)
        };
        match (span(self), span(other)) {
            (None, None) => true,
            (Some(ours), Some(theirs)) => {
                ours.trace_id() == theirs.trace_id()
                    && ours.span_id() == theirs.span_id()
                    && ours.trace_flags() == theirs.trace_flags()
                    && ours.trace_state() == theirs.trace_state()
            }
            _ => false,
        }
    }
}

impl Eq for CreationContext {}

/// A map of the W3C headers (`traceparent`, `tracestate`, `baggage`), whatever propagator is in use; empty if there is no
/// context. For messages that are stored before they are sent, in an outbox for instance.
impl serde::Serialize for CreationContext {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut headers = Vec::<(String, String)>::new();
        if let Some(cx) = self.context() {
            crate::propagation::codec::inject(cx, &mut headers);
        }
        serializer.collect_map(headers)
    }
}

/// The context is *received*, also if it was *custom* before; [`keep`](CreationContext::keep) makes it custom again.
impl<'de> serde::Deserialize<'de> for CreationContext {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let headers = std::collections::HashMap::<String, String>::deserialize(deserializer)?;
        let cx = crate::propagation::codec::extract(&Context::new(), &headers, Duplicates::Last);
        Ok(if cx.span().span_context().is_valid() { Self::received(cx) } else { Self::none() })
    }
}
