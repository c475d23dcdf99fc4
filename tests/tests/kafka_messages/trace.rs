//! The trace that a message carries, and baggage that is a field.

use opentelemetry::baggage::{BaggageExt as _, KeyValueMetadata};
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry::{Context, trace::FutureExt as _};
use throughline::kafka::{CreationContext, DecodeError, Headers, Record};
use throughline::{KafkaMessage, TraceContext as _};

use super::support::{delivered, message, remote, round_trip, shown, telemetry};

#[derive(KafkaMessage, Clone, Debug, PartialEq)]
#[kafka(topic = "orders")]
struct Order {
    #[kafka(header = "x-plan", baggage)]
    plan: Option<String>,
    #[kafka(trace)]
    trace: CreationContext,
    #[kafka(headers)]
    rest: Headers,
    amount: u64,
}

fn order(trace: CreationContext) -> Order {
    Order { plan: None, trace, rest: Headers::new().with("x-flow", "f"), amount: 1 }
}

/// kafka.md D-8: the trace headers stay out of `rest`, and are written once.
#[test]
fn the_trace_is_its_own_field_and_written_once() {
    telemetry();
    let sent = order(CreationContext::custom(remote(1, 2)));
    let record = sent.to_record().unwrap();
    assert!(record.creation().is_custom());
    assert_eq!(shown(record.headers()), ["x-flow=f"]);
    let wire = delivered(&record);
    assert_eq!(Headers::copy_of(&wire).get_all("traceparent").count(), 1);
    let read = Order::from_message(&wire).unwrap();
    assert_eq!(read, sent);
    assert!(!read.trace.is_custom());
    // Ten hops later.
    let mut hop = read;
    for _ in 0..10 {
        hop = round_trip(&hop);
    }
    assert_eq!(hop, sent);
    assert_eq!(Headers::copy_of(&delivered(&hop.to_record().unwrap())).get_all("traceparent").count(), 1);
}

/// A forwarded copy among the other headers is not a second one.
#[test]
fn trace_headers_put_among_the_others_become_the_context() {
    telemetry();
    let mut forged = order(CreationContext::none());
    forged.rest.push("TraceParent", "00-0000000000000000000000000000000a-000000000000000b-01");
    let record = forged.to_record().unwrap();
    assert_eq!(shown(record.headers()), ["x-flow=f"]);
    assert_eq!(
        (record.creation(), record.creation().is_custom()),
        (&CreationContext::received(remote(0xa, 0xb)), false)
    );
    let mut both = order(CreationContext::custom(remote(1, 2)));
    both.rest.push("traceparent", "00-0000000000000000000000000000000a-000000000000000b-01");
    let record = both.to_record().unwrap();
    assert_eq!(record.creation(), &CreationContext::custom(remote(1, 2)));
    assert_eq!(Headers::copy_of(&delivered(&record)).get_all("traceparent").count(), 1);
}

/// A header in `rest` with the name of a field would be a second value of it.
#[test]
fn a_field_wins_over_a_header_of_its_name() {
    telemetry();
    let mut twice = order(CreationContext::none());
    twice.plan = Some("gold".to_owned());
    twice.rest.push("X-Plan", "silver");
    assert_eq!(shown(twice.to_record().unwrap().headers()), ["x-plan=gold", "x-flow=f"]);
}

#[test]
fn a_message_is_injected_extracted_and_linked() {
    telemetry();
    let mut order = order(CreationContext::none());
    assert!(order.trace_link().is_none());
    order.inject_context(&Context::new());
    assert!(!order.trace.is_custom());
    order.inject_context(&remote(1, 2));
    assert!(order.trace.is_custom());
    let link = order.trace_link().unwrap();
    assert_eq!(&link.span_context, remote(1, 2).span().span_context());
    assert!(order.extract_trace_context().span().span_context().is_valid());
}

#[derive(KafkaMessage, Debug, PartialEq)]
#[kafka(topic = "orders")]
struct HeadersAlone {
    #[kafka(headers)]
    rest: Headers,
}

/// Without a field for the trace it goes through the other headers.
#[test]
fn a_message_with_headers_alone_carries_its_trace_there() {
    telemetry();
    let mut message = HeadersAlone { rest: Headers::new().with("x", "1") };
    message.inject_context(&remote(1, 2));
    assert!(message.trace_link().is_some());
    let record = message.to_record().unwrap();
    assert_eq!(record.creation(), &CreationContext::received(remote(1, 2)));
    assert_eq!(HeadersAlone::from_message(&delivered(&record)).unwrap().rest, Headers::new().with("x", "1"));
}

#[derive(KafkaMessage, Debug, PartialEq)]
#[kafka(topic = "orders")]
struct Plan {
    #[kafka(header = "x-plan", baggage)]
    plan: String,
}

fn baggage(cx: &Context, key: &str) -> Option<String> {
    cx.baggage().get(key).map(ToString::to_string)
}

#[test]
fn a_baggage_field_goes_into_header_and_baggage() {
    telemetry();
    let plan = Plan { plan: "gold, ä=1%".to_owned() };
    let wire = delivered(&plan.to_record().unwrap());
    assert_eq!(shown(&Headers::copy_of(&wire))[0], "x-plan=gold, \\xc3\\xa4=1%");
    assert_eq!(baggage(&throughline::extract_trace_context(&wire), "x-plan").as_deref(), Some("gold, ä=1%"));
    assert_eq!(Plan::from_message(&wire).unwrap(), plan);
}

#[test]
fn a_baggage_field_is_read_from_the_header_or_else_from_baggage() {
    let header = Headers::new().with("baggage", "x-plan=silver").with("X-PLAN", "gold");
    assert_eq!(Plan::from_message(&message(Some(b"{}"), &header)).unwrap().plan, "gold");
    let entry = Headers::new().with("baggage", "x-plan=silv%65r");
    assert_eq!(Plan::from_message(&message(Some(b"{}"), &entry)).unwrap().plan, "silver");
    let neither = Plan::from_message(&message(Some(b"{}"), &Headers::new()));
    assert!(matches!(neither, Err(DecodeError::MissingHeader { header: "x-plan" })), "{neither:?}");
    let bytes = Plan::from_message(&message(Some(b"{}"), &entry.with("x-plan", [0xff])));
    assert!(matches!(bytes, Err(DecodeError::HeaderNotUtf8 { header: "x-plan" })), "{bytes:?}");
}

/// Explicit only: what is current does not come into a field, and a field does not become current.
#[tokio::test]
async fn baggage_that_is_not_marked_stays_out_of_fields() {
    telemetry();
    let cx = Context::new().with_baggage([KeyValueMetadata::new("x-plan", "gold", "")]);
    async {
        let record = order(CreationContext::none()).to_record().unwrap();
        assert_eq!(record.headers().get("x-plan"), None);
        let _ = Plan { plan: "silver".to_owned() }.to_record().unwrap();
        assert_eq!(baggage(&Context::current(), "x-plan").as_deref(), Some("gold"));
    }
    .with_context(cx)
    .await;
}

#[test]
fn a_field_of_a_message_is_not_lost_in_a_record_that_goes_on() {
    let plan = Plan { plan: "gold".to_owned() };
    let record = Record::copy_of(&delivered(&plan.to_record().unwrap()));
    assert_eq!(baggage(record.creation().context().unwrap(), "x-plan").as_deref(), Some("gold"));
    assert_eq!(
        baggage(&throughline::extract_trace_context(&delivered(&record)), "x-plan").as_deref(),
        Some("gold")
    );
}
