//! Kafka on `rdkafka`: headers that never panic, consumer spans, a traced producer.
//!
//! Needs the feature `kafka`. The conventions are OpenTelemetry's for messaging and Kafka, 1.44.

mod consumer;
mod options;

pub use options::{CapturedHeader, ContextMode, KeyText, ProcessOptions};
