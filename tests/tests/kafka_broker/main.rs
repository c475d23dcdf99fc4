//! Kafka against a broker that is no simulation, where there is one: `tests/peers/kafka -- cargo test --test kafka_broker`.
//!
//! Without `THROUGHLINE_TEST_KAFKA` the tests run on librdkafka's embedded cluster; those that need what it does not have
//! (transactions, being stopped and started) say that they are skipped.

mod group;
mod interop;
mod restart;
mod round_trip;
mod support;
mod transactions;
mod volume;
