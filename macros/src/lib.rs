//! The attributes and derives of `throughline`; use them through the `throughline` crate.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used, clippy::panic))]
