//! The instruments of the conventions, and the attributes of a measurement.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, Meter};

use super::{Measured, PerProvider};
use crate::kafka::attributes;

/// Seconds; M-5.
const BUCKETS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// Seconds; M-5 and, because a queue may be long, up to an hour (kafka.md 3.5).
const QUEUE_BUCKETS: [f64; 19] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 30.0, 60.0, 300.0,
    900.0, 3600.0,
];

static CLIENT: PerProvider<Client> = PerProvider::new(Client::new);

struct Client {
    operation: Histogram<f64>,
    process: Histogram<f64>,
    queue: Histogram<f64>,
    sent: Counter<u64>,
    consumed: Counter<u64>,
}

impl Client {
    fn new(meter: &Meter) -> Self {
        let seconds_in = |name, description, buckets: &[f64]| {
            let histogram = meter.f64_histogram(name).with_description(description).with_unit("s");
            histogram.with_boundaries(buckets.to_vec()).build()
        };
        let seconds = |name, description| seconds_in(name, description, &BUCKETS);
        let messages = |name, description| {
            meter.u64_counter(name).with_description(description).with_unit("{message}").build()
        };
        Client {
            operation: seconds(
                "messaging.client.operation.duration",
                "Duration of messaging operation initiated by a producer or consumer client.",
            ),
            process: seconds("messaging.process.duration", "Duration of processing operation."),
            queue: seconds_in(
                "throughline.messaging.queue.duration",
                "Time from a record's timestamp to the start of its processing.",
                &QUEUE_BUCKETS,
            ),
            sent: messages(
                "messaging.client.sent.messages",
                "Number of messages producer attempted to send to the broker.",
            ),
            consumed: messages(
                "messaging.client.consumed.messages",
                "Number of messages that were delivered to the application.",
            ),
        }
    }
}

pub(super) fn operation<'a>(took: Duration, measured: impl FnOnce() -> Measured<'a>) {
    if let Some(client) = CLIENT.get() {
        client.operation.record(took.as_secs_f64(), &attributes(measured(), true, true));
    }
}

pub(super) fn process(took: Duration, measured: Measured<'_>) {
    if let Some(client) = CLIENT.get() {
        client.process.record(took.as_secs_f64(), &attributes(measured, true, false));
    }
}

pub(super) fn queue<'a>(waited: Duration, measured: impl FnOnce() -> Measured<'a>) {
    if let Some(client) = CLIENT.get() {
        client.queue.record(waited.as_secs_f64(), &attributes(measured(), true, false));
    }
}

pub(super) fn sent<'a>(records: u64, measured: impl FnOnce() -> Measured<'a>) {
    if let Some(client) = CLIENT.get() {
        client.sent.add(records, &attributes(measured(), false, false));
    }
}

pub(super) fn consumed<'a>(messages: u64, measured: impl FnOnce() -> Measured<'a>) {
    if let Some(client) = CLIENT.get() {
        client.consumed.add(messages, &attributes(measured(), true, false));
    }
}

/// M-6.
fn attributes(measured: Measured<'_>, group: bool, kind: bool) -> Vec<KeyValue> {
    let Measured {
        operation,
        kind: operation_type,
        topic,
        template,
        group: group_name,
        partition,
        server,
        error_type,
    } = measured;
    let mut all = Vec::with_capacity(10);
    all.push(KeyValue::new(attributes::SYSTEM, "kafka"));
    all.push(KeyValue::new(attributes::OPERATION_NAME, operation.into_owned()));
    if kind {
        all.push(KeyValue::new(attributes::OPERATION_TYPE, operation_type));
    }
    // With a template the name is one of many, which the template stands for.
    match (template, topic) {
        (Some(template), _) => all.push(KeyValue::new(attributes::TEMPLATE, template.into_owned())),
        (None, Some(topic)) => all.push(KeyValue::new(attributes::DESTINATION, topic.into_owned())),
        (None, None) => {}
    }
    all.extend(group_name.filter(|_| group).map(|name| KeyValue::new(attributes::GROUP, name.into_owned())));
    all.extend(partition.and_then(attributes::partition));
    if let Some((address, port)) = server {
        all.push(KeyValue::new(attributes::SERVER_ADDRESS, address.into_owned()));
        all.push(KeyValue::new(attributes::SERVER_PORT, i64::from(port)));
    }
    all.extend(error_type.map(|error_type| KeyValue::new(attributes::ERROR_TYPE, error_type.into_owned())));
    all
}
