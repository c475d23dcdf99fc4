//! `#[kafka_consumer]` on every type of parameter that it accepts: each continues the trace of its message.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::Value;
use opentelemetry::trace::{FutureExt as _, SpanId, TraceContextExt as _};
use opentelemetry_sdk::trace::SpanData;
use rdkafka::message::{BorrowedMessage, OwnedHeaders, OwnedMessage, Timestamp};
use throughline::kafka::{ConsumedMessage, ProcessOptions, Record, process, process_batch, process_sync};
use throughline::{KafkaMessage, inject_context, kafka_consumer};

use super::support::{Broker, TOPIC, attribute, named, root, soon, spans};

/// Where a handler's span is, as the handler sees it.
type Seen = Option<(String, String)>;

fn seen() -> Seen {
    throughline::trace_id().zip(throughline::span_id())
}

#[derive(KafkaMessage)]
#[kafka(topic = "orders")]
struct Order {
    amount: u64,
}

#[kafka_consumer]
fn owned(message: OwnedMessage) -> Seen {
    drop(message);
    seen()
}

#[kafka_consumer]
async fn owned_reference(message: &OwnedMessage) -> Seen {
    tokio::task::yield_now().await;
    let _ = message;
    seen()
}

#[kafka_consumer]
fn borrowed(message: &BorrowedMessage<'_>) -> Seen {
    let _ = message;
    seen()
}

#[kafka_consumer]
async fn borrowed_value(message: BorrowedMessage<'_>) -> Seen {
    let _ = message;
    seen()
}

#[kafka_consumer(fields(amount = order.value().amount))]
fn record(order: Record<Order>) -> Seen {
    drop(order);
    seen()
}

#[kafka_consumer(fields(amount = order.value().amount))]
async fn record_reference(order: &Record<Order>) -> Seen {
    let _ = order;
    seen()
}

#[kafka_consumer]
fn raw_record_mutable(order: &mut Record) -> Seen {
    order.set_value(None);
    seen()
}

#[kafka_consumer]
fn marked<M: ConsumedMessage>(#[message] message: &M, other: &OwnedMessage) -> Seen {
    let _ = (message, other);
    seen()
}

#[kafka_consumer]
fn in_an_arc(#[message] message: Arc<Record>) -> Seen {
    drop(message);
    seen()
}

struct Handler;

impl Handler {
    #[kafka_consumer]
    async fn method(&self, order: Record) -> Seen {
        let _ = order;
        seen()
    }
}

#[async_trait::async_trait]
trait Handles {
    async fn handle(&self, order: Record<Order>) -> Seen;
}

#[async_trait::async_trait]
impl Handles for Handler {
    #[kafka_consumer]
    async fn handle(&self, order: Record<Order>) -> Seen {
        drop(order);
        seen()
    }
}

#[kafka_consumer]
fn owned_slice(messages: &[OwnedMessage]) -> Seen {
    let _ = messages;
    seen()
}

#[kafka_consumer]
async fn owned_vec(messages: Vec<OwnedMessage>) -> Seen {
    drop(messages);
    seen()
}

#[kafka_consumer]
fn borrowed_slice(messages: &[BorrowedMessage<'_>]) -> Seen {
    let _ = messages;
    seen()
}

#[kafka_consumer]
fn record_slice(orders: &[Record<Order>]) -> Seen {
    let _ = orders;
    seen()
}

#[kafka_consumer]
async fn record_vec(orders: Vec<Record<Order>>) -> Seen {
    drop(orders);
    seen()
}

#[kafka_consumer]
fn vec_reference(orders: &Vec<Record>) -> Seen {
    let _ = orders;
    seen()
}

/// A message with a creation context of its own, and that span's id.
fn message() -> (OwnedMessage, SpanId) {
    let (cx, _) = root();
    let mut headers = OwnedHeaders::new();
    inject_context(&cx, &mut headers);
    let message = OwnedMessage::new(
        Some(b"{\"amount\":7}".to_vec()),
        Some(b"order-7".to_vec()),
        TOPIC.to_owned(),
        Timestamp::now(),
        3,
        11,
        Some(headers),
    );
    (message, cx.span().span_context().span_id())
}

fn found(seen: Seen) -> SpanData {
    let (trace, span) = seen.expect("a span");
    let all = spans(opentelemetry::TraceId::from_hex(&trace).unwrap());
    let span = SpanId::from_hex(&span).unwrap();
    all.into_iter().find(|found| found.span_context.span_id() == span).expect("the span was exported")
}

fn assert_continues(seen: Seen, sender: SpanId) -> SpanData {
    let span = found(seen);
    assert_eq!(span.name, "process orders");
    assert_eq!(span.parent_span_id, sender);
    let links: Vec<_> = span.links.links.iter().map(|link| link.span_context.span_id()).collect();
    assert_eq!(links, [sender]);
    assert_eq!(attribute(&span, "messaging.kafka.offset"), Some(Value::I64(11)));
    assert_eq!(attribute(&span, "messaging.destination.partition.id"), Some(Value::String("3".into())));
    assert_eq!(attribute(&span, "messaging.kafka.message.key"), Some(Value::String("order-7".into())));
    assert!(attribute(&span, "throughline.messaging.queue_time_ms").is_some());
    assert!(attribute(&span, "messaging.batch.message_count").is_none());
    span
}

/// C-4: offset, key and queue time are on the link, and the sender is no parent.
fn assert_links(seen: Seen, senders: &[SpanId]) {
    let span = found(seen);
    assert_eq!(span.parent_span_id, SpanId::INVALID);
    let links: Vec<_> = span.links.links.iter().map(|link| link.span_context.span_id()).collect();
    assert_eq!(links, senders);
    let count = i64::try_from(senders.len()).unwrap();
    assert_eq!(attribute(&span, "messaging.batch.message_count"), Some(Value::I64(count)));
    assert!(attribute(&span, "messaging.kafka.offset").is_none());
    for link in &span.links.links {
        for key in
            ["messaging.kafka.offset", "messaging.kafka.message.key", "throughline.messaging.queue_time_ms"]
        {
            assert!(link.attributes.iter().any(|kv| kv.key.as_str() == key), "{key}");
        }
    }
}

#[tokio::test]
async fn single_messages_of_every_type_continue_their_trace() {
    let (owned_message, sender) = message();
    assert_continues(owned(owned_message.clone()), sender);
    assert_continues(owned_reference(&owned_message).await, sender);
    let order = || Record::<Order>::read(&owned_message).unwrap();
    let span = assert_continues(record(order()), sender);
    assert_eq!(attribute(&span, "amount"), Some(Value::I64(7)));
    assert_continues(record_reference(&order()).await, sender);
    assert_continues(raw_record_mutable(&mut Record::copy_of(&owned_message)), sender);
    let (other, _) = message();
    assert_continues(marked(&order(), &other), sender);
    assert_continues(in_an_arc(Arc::new(Record::copy_of(&owned_message))), sender);
    assert_continues(Handler.method(Record::copy_of(&owned_message)).await, sender);
    assert_continues(Handler.handle(order()).await, sender);
}

#[tokio::test]
async fn batches_of_every_type_link_to_their_senders() {
    let ((first, a), (second, b)) = (message(), message());
    let senders = [a, b];
    let both = || vec![first.clone(), second.clone()];
    assert_links(owned_slice(&both()), &senders);
    assert_links(owned_vec(both()).await, &senders);
    let orders = || vec![Record::<Order>::read(&first).unwrap(), Record::<Order>::read(&second).unwrap()];
    assert_links(record_slice(&orders()), &senders);
    assert_links(record_vec(orders()).await, &senders);
    assert_links(vec_reference(&vec![Record::copy_of(&first), Record::copy_of(&second)]), &senders);
}

#[tokio::test]
async fn messages_as_rdkafka_lends_them_continue_their_trace() {
    let broker = Broker::start();
    let producer = broker.producer();
    let mut senders = Vec::new();
    for _ in 0..3 {
        let (cx, trace) = root();
        let order = Record::to(TOPIC).with_key("order-7").with_value("{}");
        producer.send_record(&order, Duration::from_secs(5)).with_context(cx).await.unwrap();
        senders.push(named(&spans(trace), "send orders").span_context.span_id());
    }
    let consumer = broker.consumer();
    let first = soon(consumer.recv()).await.unwrap();
    assert_eq!(found(borrowed(&first)).parent_span_id, senders[0]);
    assert_eq!(found(borrowed_value(first).await).parent_span_id, senders[0]);
    let both = [soon(consumer.recv()).await.unwrap(), soon(consumer.recv()).await.unwrap()];
    assert_links(borrowed_slice(&both), &senders[1..]);
}

#[tokio::test]
async fn functions_without_the_attribute_take_records_too() {
    let (owned, sender) = message();
    let order = Record::<Order>::read(&owned).unwrap();
    let seen_by_sync = process_sync(&order, ProcessOptions::new(), || Ok::<_, String>(seen())).unwrap();
    assert_continues(seen_by_sync, sender);
    let seen_by_async =
        process(&order, ProcessOptions::new(), async { Ok::<_, String>(seen()) }).await.unwrap();
    assert_continues(seen_by_async, sender);
    let batch = vec![Record::copy_of(&owned)];
    let seen_by_batch =
        process_batch(&batch, ProcessOptions::new(), async { Ok::<_, String>(seen()) }).await.unwrap();
    assert_links(seen_by_batch, &[sender]);
}
