//! Kafka on `rdkafka`: headers that never panic, consumer spans, a traced producer.
//!
//! Needs the feature `kafka`. The conventions are OpenTelemetry's for messaging and Kafka, 1.44.

mod adopted;
mod attributes;
mod batch_send;
mod client;
mod codec;
mod commit_reports;
mod consumer;
mod delivery;
#[doc(hidden)]
#[allow(missing_docs)] // called by generated code, described in one piece
pub mod derived;
mod error;
mod fields;
mod guarded;
mod headers;
mod headers_serde;
mod kafka_message;
mod known;
mod message;
mod message_error;
mod metrics;
mod native;
mod options;
mod outgoing;
mod process;
mod produce;
mod producer;
mod pull;
mod queueing;
mod received;
mod record;
mod record_headers;
mod runner;
mod send_options;
mod sending;
mod settle;
mod threaded_producer;
mod timestamp;
mod tombstone;
mod traced_consumer;

#[doc(hidden)]
pub use consumer::{
    ConstantOptions, HandlerOptions, enter, enter_any, enter_batch, open, open_any, open_batch,
};
#[doc(hidden)]
pub use fields::{set, set_debug, set_display, set_static};
#[doc(hidden)]
pub use metrics::{Measure, MeasuredProbe, MeasuredStream, in_span, traced, traced_stream};

#[cfg(feature = "kafka-protobuf")]
#[cfg_attr(docsrs, doc(cfg(feature = "kafka-protobuf")))]
pub use codec::Protobuf;
pub use codec::{Codec, Json, Raw};
pub use commit_reports::TracedConsumerContext;
pub use delivery::{DeliveryFuture, InFlight};
pub use kafka_message::KafkaMessage;
pub use message::ConsumedMessage;
pub use message_error::{BoxError, DecodeError, EncodeError};
pub use options::{CapturedHeader, ContextMode, KeyText, ProcessOptions};
pub use outgoing::{Created, OutgoingBaseRecord, OutgoingRecord, WithCreation};
pub use process::{process, process_batch, process_sync};
#[doc(hidden)]
pub use produce::{
    InHeaders, InRecord, Made, Placed, Produce, ProducerOptions, Producing, Scope, SendParameter, SentRecord,
    TypeOf, future_within, look, open_produce, probe_kafka, produce, produce_sync, scope,
};
pub use producer::{TracedContext, TracedProducer};
pub use received::Received;
pub use record::{Record, RecordValue};
pub use record_headers::{Headers, HeadersIter};
pub use runner::{
    Ack, Attempt, Backoff, Commit, CommitError, Concurrency, Consumer, DeadLetterContext, DeadLetterHeaders,
    Extract, HaltedPartition, Handler, HandlerError, Input, OnFailure, OnPanic, Report, RetryErrors,
    Returned, RunError, RunnerHandle, RunnerHealth, RunnerState, State, by_key, manual, per_partition,
    per_record, sequential, tracked,
};
pub use send_options::{Existing, SendOptions};
pub use threaded_producer::{TracedOpaque, TracedPartitioner, TracedProducerContext, TracedThreadedProducer};
pub use tombstone::Tombstone;
pub use traced_consumer::TracedConsumer;

#[doc(no_inline)]
pub use crate::trace_context::CreationContext;
#[doc = include_str!("../../docs/kafka_message.md")]
pub use throughline_macros::KafkaMessage;
