//! Kafka on `rdkafka`: headers that never panic, consumer spans, a traced producer.
//!
//! Needs the feature `kafka`. The conventions are OpenTelemetry's for messaging and Kafka, 1.44.

mod attributes;
mod consumer;
mod delivery;
mod error;
mod headers;
mod message;
mod native;
mod options;
mod process;
mod producer;

#[doc(hidden)]
pub use consumer::{enter, enter_batch, open, open_batch};

pub use delivery::{DeliveryFuture, InFlight, TracedContext};
pub use message::ConsumedMessage;
pub use options::{CapturedHeader, ContextMode, KeyText, ProcessOptions};
pub use process::{process, process_batch, process_sync};
pub use producer::TracedProducer;
