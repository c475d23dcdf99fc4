//! W3C Trace Context, level 2, through Kafka (kafka.md T-16): what came in a request's headers goes into a record, through a
//! broker and a process span, and out again in the headers of a call.
//!
//! `cases` is written from the specification. The official suite itself runs where it can be had:
//! `tests/peers/w3c -- tests/peers/python -- cargo test --test kafka_w3c`.

mod adapter;
mod cases;
mod http;
mod suite;
