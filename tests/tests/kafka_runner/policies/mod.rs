//! What becomes of a record: attempts, dead letters, and the words for everything that goes wrong.

mod acks;
mod dead_letters;
mod failures;
mod fills;
mod retries;
pub(super) mod support;
