//! Messages in a process without a propagator: the trace of others goes through it (kafka.md T-2).

use rdkafka::message::{OwnedMessage, Timestamp};
use throughline::KafkaMessage;
use throughline::kafka::{CreationContext, Headers, Record};

#[derive(KafkaMessage, Debug, PartialEq)]
#[kafka(topic = "orders")]
struct Order {
    #[kafka(trace)]
    trace: CreationContext,
    #[kafka(headers)]
    rest: Headers,
    amount: u64,
}

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn message() -> (OwnedMessage, Headers) {
    let headers =
        Headers::new().with("x", "1").with("traceparent", PARENT).with("tracestate", "a=1").with("y", "");
    let owned = headers.to_owned_headers();
    let value = Some(b"{\"amount\":1}".to_vec());
    (OwnedMessage::new(value, None, "orders".to_owned(), Timestamp::NotAvailable, 0, 0, Some(owned)), headers)
}

#[test]
fn without_a_propagator_trace_headers_are_headers_like_others() {
    let (message, headers) = message();
    let order = Order::from_message(&message).unwrap();
    assert_eq!(order.trace, CreationContext::none());
    assert_eq!(order.rest, headers);
    let sent = order.to_record().unwrap();
    assert_eq!(Headers::copy_of(&sent.to_future_record()), headers);
    assert_eq!(Headers::copy_of(&Record::copy_of(&message).to_future_record()), headers);
    assert_eq!(Headers::copy_of(&Record::copy_of(&message).to_base_record()), headers);
}

#[test]
fn a_record_without_headers_has_none() {
    let record = Record::to("orders").with_value("{}");
    assert!(record.to_future_record().headers.is_none());
    assert!(record.to_base_record().headers.is_none());
}
