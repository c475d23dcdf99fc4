//! What the tests of this package share.

pub mod examples;
pub mod kafka;
pub mod otlp;
pub mod peers;
pub mod program;
pub mod recorded;
pub mod store;
