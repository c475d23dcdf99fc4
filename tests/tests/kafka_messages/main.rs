//! `#[derive(KafkaMessage)]`: every part of a record, every codec, and what survives a round trip.
//!
//! The numbers in the comments are those of the conventions that the room `kafka` keeps to.

mod body;
mod broker;
mod codecs;
mod fields;
mod hostile;
mod record;
mod round_trip;
mod support;
mod trace;
