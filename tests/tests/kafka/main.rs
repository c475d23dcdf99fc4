//! Kafka in librdkafka's embedded cluster: from the producer to `#[kafka_consumer]`, with good and hostile headers.
//!
//! The numbers in the comments are those of the conventions that the room `kafka` keeps to.

mod consumer;
mod conventions;
mod headers;
mod meters;
mod metrics;
mod parameters;
mod producer;
mod producer_attribute;
mod receive;
mod records;
mod support;
mod threaded_producer;
