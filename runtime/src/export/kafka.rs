//! The exporter `kafka`: each batch is an `ExportTraceServiceRequest` in protobuf, in one message.
//!
//! That is what the Kafka receivers of the OpenTelemetry Collector and of Jaeger read (topic `otlp_spans`, encoding
//! `otlp_proto`), and `throughline serve --from-kafka`.

use std::fmt;
use std::time::Duration;

use futures_core::future::BoxFuture;
use opentelemetry::trace::TraceId;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanData;
use prost::Message as _;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::util::Timeout;

use super::otlp_request::{EncodedResource, request};
use crate::pipeline::exporter::{BatchExporter, DoneFuture, ExportError, ExportFuture, Exported};

/// What the exporter is told; all of it read and parsed by set-up.
#[derive(Clone)]
pub(crate) struct KafkaConfig {
    pub(crate) brokers: String,
    pub(crate) topic: String,
    pub(crate) key: SpanKey,
    /// Settings of librdkafka; values may be secret.
    pub(crate) properties: Vec<(String, String)>,
}

impl fmt::Debug for KafkaConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaConfig")
            .field("topic", &self.topic)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// What messages are keyed by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum SpanKey {
    /// By nothing: a batch is one message, on any partition.
    #[default]
    None,
    /// By the trace's id, as 32 hex digits: each trace of a batch is a message, and a trace stays on one partition.
    TraceId,
}

/// For one attempt, with librdkafka's own within it.
const ATTEMPT: Duration = Duration::from_secs(10);

/// An exporter that sends to this topic. It connects with the first batch.
///
/// # Errors
///
/// What librdkafka says of the settings.
pub(crate) fn kafka(config: &KafkaConfig) -> Result<Box<dyn BatchExporter>, KafkaError> {
    let mut client = ClientConfig::new();
    client
        .set("bootstrap.servers", &config.brokers)
        .set("client.id", "throughline-exporter")
        .set("enable.idempotence", "true")
        .set("compression.type", "lz4")
        // A batch is waited for, and there is one at a time.
        .set("linger.ms", "0")
        .set("message.timeout.ms", ATTEMPT.as_millis().to_string());
    for (name, value) in &config.properties {
        client.set(name, value);
    }
    // Without `TracedProducer`: spans about spans would never end.
    let producer: FutureProducer = client.create()?;
    let (topic, key) = (config.topic.clone(), config.key);
    Ok(Box::new(Kafka { producer, topic, key, resource: EncodedResource::default() }))
}

struct Kafka {
    producer: FutureProducer,
    topic: String,
    key: SpanKey,
    resource: EncodedResource,
}

impl Kafka {
    /// Queues one message at once; the future is its delivery.
    fn send(&self, spans: &[SpanData], key: Option<TraceId>) -> BoxFuture<'static, Result<(), ExportError>> {
        let payload = request(&self.resource, spans).encode_to_vec();
        let key = key.map(|trace| trace.to_string());
        let mut record = FutureRecord::to(&self.topic).payload(&payload);
        if let Some(key) = &key {
            record = record.key(key);
        }
        match self.producer.send_result(record) {
            Ok(delivery) => Box::pin(async move {
                match delivery.await {
                    Ok(Ok(_)) => Ok(()),
                    Ok(Err((error, _))) => Err(failed(&error)),
                    Err(_) => Err(transient("the producer has ended")),
                }
            }),
            Err((error, _)) => {
                let error = failed(&error);
                Box::pin(async move { Err(error) })
            }
        }
    }

    async fn attempt(&self, spans: &[SpanData]) -> Result<Exported, ExportError> {
        let deliveries = match self.key {
            SpanKey::None => vec![self.send(spans, None)],
            SpanKey::TraceId => {
                by_trace(spans).iter().map(|(trace, spans)| self.send(spans, Some(*trace))).collect()
            }
        };
        let mut outcome = Ok(Exported::default());
        for delivery in deliveries {
            // All of them, so that none is still under way when the batch is tried again.
            if let Err(error) = delivery.await {
                outcome = Err(error);
            }
        }
        outcome
    }
}

/// The spans by trace, both in their order.
fn by_trace(spans: &[SpanData]) -> Vec<(TraceId, Vec<SpanData>)> {
    let mut places = std::collections::HashMap::new();
    let mut traces: Vec<(TraceId, Vec<SpanData>)> = Vec::new();
    for span in spans {
        let id = span.span_context.trace_id();
        let place = *places.entry(id).or_insert_with(|| {
            traces.push((id, Vec::new()));
            traces.len() - 1
        });
        if let Some((_, trace)) = traces.get_mut(place) {
            trace.push(span.clone());
        }
    }
    traces
}

impl BatchExporter for Kafka {
    fn component_type(&self) -> &'static str {
        "throughline_kafka_span_exporter"
    }

    fn name(&self) -> &'static str {
        "kafka"
    }

    fn start(&mut self, resource: &Resource) {
        self.resource = EncodedResource::new(resource);
    }

    fn export<'a>(&'a mut self, spans: &'a [SpanData]) -> ExportFuture<'a> {
        Box::pin(self.attempt(spans))
    }

    fn shutdown(&mut self) -> DoneFuture<'_> {
        // Whatever was given up is not waited for once more.
        use rdkafka::producer::{Producer as _, PurgeConfig};
        self.producer.purge(PurgeConfig::default().queue().inflight());
        let _ = self.producer.flush(Timeout::After(Duration::from_millis(10)));
        Box::pin(async {})
    }

    fn may_block(&self) -> bool {
        false
    }
}

fn transient(message: &'static str) -> ExportError {
    ExportError::Transient { retry_after: None, message: message.into() }
}

fn failed(error: &KafkaError) -> ExportError {
    use RDKafkaErrorCode as Code;
    let message = error.to_string().into();
    match error.rdkafka_error_code() {
        Some(Code::MessageSizeTooLarge | Code::InvalidMessageSize) => ExportError::TooLarge { message },
        Some(
            Code::InvalidTopic
            | Code::TopicAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::UnsupportedCompressionType,
        ) => ExportError::Permanent { message },
        _ => ExportError::Transient { retry_after: None, message },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::samples;

    #[test]
    fn spans_are_grouped_by_trace_in_their_order() {
        let spans = [(1, 1), (2, 2), (1, 3), (2, 4)].map(|(trace, id)| samples::span(trace, id, 0, "a"));
        let grouped: Vec<Vec<_>> = by_trace(&spans)
            .into_iter()
            .map(|(_, spans)| spans.iter().map(|span| span.span_context.span_id()).collect())
            .collect();
        let id = |number: u64| opentelemetry::trace::SpanId::from(number);
        assert_eq!(grouped, [[id(1), id(3)], [id(2), id(4)]]);
    }

    #[test]
    fn message_that_is_too_large_asks_for_smaller_ones() {
        let error = KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge);
        assert!(matches!(failed(&error), ExportError::TooLarge { .. }));
        let error = KafkaError::MessageProduction(RDKafkaErrorCode::MessageTimedOut);
        assert!(matches!(failed(&error), ExportError::Transient { .. }));
    }
}
