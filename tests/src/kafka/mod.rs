//! Kafka with faults: an embedded cluster, a proxy in front of it, records that no client would send, and the checker
//! that says whether anything was lost.

pub mod checker;
pub mod cluster;
pub mod hostile;
pub mod proxy;
pub mod spans;
pub mod verdict;
mod wire;
