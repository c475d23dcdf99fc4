//! `runtime/src/span/chunk.rs` on its own: the one file that hands memory from thread to thread without a lock.
//!
//! | built with | what it shows |
//! |---|---|
//! | `RUSTFLAGS="--cfg loom"` | `model`: every order in which two threads can meet |
//! | nothing | `properties`: one thread against a `VecDeque`; `threads`: real threads |
//! | `RUSTFLAGS="-Zsanitizer=address"`, `thread` | the same two, with each access watched |
#![cfg(test)]

// The whole file is built; only what the tests use is called.
#[allow(dead_code)]
#[path = "../../../runtime/src/span/chunk.rs"]
mod chunk;

mod counted;
mod ends;
#[cfg(loom)]
mod model;
#[cfg(not(loom))]
mod properties;
#[cfg(not(loom))]
mod threads;
