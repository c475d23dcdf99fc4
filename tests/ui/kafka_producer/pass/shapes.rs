#![deny(warnings)]

use rdkafka::error::KafkaError;
use rdkafka::message::{OwnedHeaders, ToBytes};
use rdkafka::producer::future_producer::{Delivery, OwnedDeliveryResult};
use rdkafka::producer::{BaseRecord, FutureRecord};
use throughline::kafka::{Created, Headers, Record, WithCreation as _};
use throughline::opentelemetry::Context;
use throughline::{KafkaMessage, TraceContext, kafka_producer};

#[kafka_producer]
pub fn by_value(record: FutureRecord<'_, str, str>) {
    let _ = record.topic;
}

#[kafka_producer]
pub fn by_value_and_changed(mut record: FutureRecord<'_, str, str>) -> (i32, i64) {
    record.partition = record.partition.or(Some(1));
    (record.partition.unwrap_or_default(), 2)
}

#[kafka_producer]
pub async fn by_reference<K: ToBytes + ?Sized, P: ToBytes + ?Sized>(record: &mut BaseRecord<'_, K, P>) {
    let _ = record.topic;
}

#[kafka_producer(existing = keep, sizes = on)]
pub async fn own_headers(headers: &mut Headers) -> Result<Delivery, KafkaError> {
    let _ = headers.len();
    Err(KafkaError::Canceled)
}

#[kafka_producer]
pub fn headers_by_value(headers: OwnedHeaders) -> OwnedHeaders {
    headers
}

#[kafka_producer(key = off, err = ignore)]
pub fn any_carrier(#[headers] carrier: &mut std::collections::HashMap<String, String>) -> Result<(), KafkaError> {
    let _ = carrier.len();
    Ok(())
}

#[kafka_producer]
pub fn with_context(cx: Context) -> Created<FutureRecord<'static, str, str>> {
    FutureRecord::to("orders").payload("{}").creation_context(cx)
}

#[kafka_producer(template = "orders.{tenant}", message_id = "x-id")]
pub async fn generic<T: TraceContext>(message: T) -> Option<T> {
    Some(message)
}

#[kafka_producer]
pub fn future(record: Record) -> impl Future<Output = OwnedDeliveryResult> + Send {
    let _ = record.topic();
    async { Ok(Delivery { partition: 1, offset: 2, timestamp: rdkafka::Timestamp::NotAvailable }) }
}

#[kafka_producer]
pub fn boxed(id: u64) -> std::pin::Pin<Box<dyn Future<Output = u64> + Send>> {
    Box::pin(async move { id })
}

#[kafka_producer("orders.opaque")]
pub fn opaque() -> Result<impl Iterator<Item = u8>, KafkaError> {
    Ok([1_u8].into_iter())
}

#[derive(KafkaMessage)]
#[kafka(topic = "orders")]
pub struct OrderPlaced {
    #[kafka(key)]
    pub id: String,
    #[kafka(trace)]
    pub trace: throughline::CreationContext,
}

#[kafka_producer]
pub fn message(id: String) -> OrderPlaced {
    OrderPlaced { id, trace: throughline::CreationContext::none() }
}

fn is_send<T: Send>(_: T) {}

fn main() {
    is_send(own_headers(&mut Headers::new()));
    assert!(!message("7".to_owned()).trace.is_custom());
}
