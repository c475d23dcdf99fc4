//! The runner on librdkafka's embedded cluster. The numbers in comments are those of the design of the room `kafka`.

mod close;
mod commits;
mod order;
mod policies;
mod rebalance;
mod settings;
mod state;
mod support;
mod telemetry;
