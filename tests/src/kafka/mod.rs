//! Kafka with faults: an embedded cluster, a proxy in front of it, and records that no client would send.

pub mod cluster;
pub mod hostile;
pub mod proxy;
mod wire;
