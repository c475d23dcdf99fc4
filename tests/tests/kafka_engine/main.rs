//! The runner's engine on librdkafka's embedded cluster: order, commits, rebalances, every way to end. No telemetry here:
//! these tests handle more records than an exporter in memory keeps up with. The numbers in comments are those of the
//! design of the room `kafka`.

mod close;
mod commits;
mod farewell;
mod going_back;
mod order;
mod rebalance;
mod settings;
mod state;
mod support;
