//! Kafka on `rdkafka`: headers that never panic, consumer spans, a traced producer.
//!
//! Needs the feature `kafka`. The conventions are OpenTelemetry's for messaging and Kafka, 1.44.

mod attributes;
mod codec;
mod consumer;
mod delivery;
mod error;
mod headers;
mod kafka_message;
mod message;
mod message_error;
#[allow(dead_code, reason = "sends are measured by the next change")]
mod metrics;
mod native;
mod options;
mod process;
mod producer;
mod record;
mod record_headers;
#[allow(dead_code, reason = "handlers come with the next change")]
mod runner;
#[allow(dead_code, reason = "the runner commits")]
mod settle;
mod timestamp;
mod tombstone;

#[doc(hidden)]
pub use consumer::{enter, enter_batch, open, open_batch};
#[doc(hidden)]
pub use metrics::{Measure, MeasuredProbe, MeasuredStream, in_span, traced, traced_stream};

#[cfg(feature = "kafka-protobuf")]
#[cfg_attr(docsrs, doc(cfg(feature = "kafka-protobuf")))]
pub use codec::Protobuf;
pub use codec::{Codec, Json, Raw};
pub use delivery::{DeliveryFuture, InFlight, TracedContext};
pub use kafka_message::KafkaMessage;
pub use message::ConsumedMessage;
pub use message_error::{BoxError, DecodeError, EncodeError};
pub use options::{CapturedHeader, ContextMode, KeyText, ProcessOptions};
pub use process::{process, process_batch, process_sync};
pub use producer::TracedProducer;
pub use record::{Record, RecordValue};
pub use record_headers::{Headers, HeadersIter};
pub use runner::{
    Commit, CommitError, Concurrency, Consumer, HaltedPartition, Report, RunError, RunnerHandle,
    RunnerHealth, RunnerState, by_key, manual, per_partition, per_record, sequential, tracked,
};
pub use tombstone::Tombstone;

#[doc(no_inline)]
pub use crate::trace_context::CreationContext;
