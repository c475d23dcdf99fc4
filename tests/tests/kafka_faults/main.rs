//! Kafka with faults: one file per group of rows of the fault matrix; the numbers in comments are its rows.
//!
//! Rows that need a real broker ask for its address in `THROUGHLINE_TEST_KAFKA` (`HOST:PORT`), and pass without it.

mod alone;
mod closing;
mod groups;
mod handlers;
mod hold;
mod killed;
mod load;
mod long;
mod messages;
#[allow(dead_code, reason = "others read more of a measurement")]
#[path = "../kafka/meters.rs"]
mod meters;
mod network;
mod outages;
mod producers;
mod real;
mod support;
mod traces;
