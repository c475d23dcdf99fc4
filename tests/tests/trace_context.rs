//! `#[derive(TraceContext)]`: a message's own headers or fields carry the trace.

use std::collections::HashMap;

use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState};
use opentelemetry::{Context, KeyValue, global};
use throughline::TraceContext;
use throughline::propagation::Propagator;

#[derive(Default, TraceContext)]
struct Envelope<B> {
    #[trace(headers)]
    headers: HashMap<String, String>,
    body: B,
}

#[derive(Default, TraceContext)]
struct Columns {
    #[trace(traceparent)]
    parent: Option<String>,
    #[trace(tracestate)]
    state: Option<String>,
    #[trace(baggage)]
    baggage: Option<String>,
}

#[derive(Default, TraceContext)]
struct Single {
    #[trace(traceparent)]
    parent: Option<String>,
}

fn sender(state: &str) -> Context {
    global::set_text_map_propagator(Propagator::default());
    let (trace, span) = (TraceId::from(7_u128), SpanId::from(9_u64));
    let state: TraceState = state.parse().unwrap();
    let span = SpanContext::new(trace, span, TraceFlags::SAMPLED, false, state);
    Context::new().with_remote_span_context(span).with_baggage([KeyValue::new("tenant", "a b")])
}

fn assert_continues(message: &impl TraceContext) {
    let cx = message.extract_trace_context();
    assert_eq!(cx.span().span_context().span_id(), SpanId::from(9));
    assert!(cx.span().span_context().is_remote());
    assert_eq!(message.trace_link().unwrap().span_context.trace_id(), TraceId::from(7));
}

#[test]
fn headers_of_an_envelope_carry_the_trace() {
    let mut envelope = Envelope { headers: HashMap::from([("TraceParent".into(), "stale".into())]), body: 1 };
    envelope.inject_context(&sender("a=1"));
    assert_continues(&envelope);
    assert_eq!(envelope.headers.len(), 3, "the stale spelling is gone");
    assert_eq!(envelope.extract_trace_context().baggage().get("tenant").unwrap().as_str(), "a b");
    assert_eq!(envelope.body, 1);
}

#[test]
fn single_fields_carry_the_trace() {
    let mut columns = Columns::default();
    columns.inject_context(&sender("a=1"));
    assert_continues(&columns);
    assert_eq!(columns.state.as_deref(), Some("a=1"));
    assert_eq!(columns.baggage.as_deref(), Some("tenant=a%20b"));
    // A context without tracestate leaves no stale one behind.
    columns.inject_context(&sender(""));
    assert_eq!(columns.state, None);

    let mut single = Single::default();
    single.inject_context(&sender("a=1"));
    assert_continues(&single);
}

#[test]
fn the_current_span_goes_in_by_itself() {
    let mut single = Single::default();
    single.inject_trace_context();
    assert_eq!(single.parent, None, "no span, nothing written");
    let _attached = sender("").attach();
    single.inject_trace_context();
    assert_continues(&single);
}

#[test]
fn a_message_without_a_usable_context_has_no_link() {
    sender("");
    for parent in [None, Some(String::new()), Some("garbage".to_owned())] {
        let message = Single { parent };
        assert!(message.trace_link().is_none());
        assert!(!message.extract_trace_context().span().span_context().is_valid());
    }
}
