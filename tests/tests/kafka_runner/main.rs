//! The runner on librdkafka's embedded cluster: its policies, and what it tells. The numbers in comments are those of the
//! design of the room `kafka`.

mod policies;
#[allow(dead_code, reason = "shared with the tests of the engine, which use all of it")]
#[path = "../kafka_engine/support.rs"]
mod support;
mod telemetry;
