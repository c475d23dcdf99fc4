//! What the library promises to the program that it lives in, each promise under a name of its own.
//!
//! | promise | tests |
//! |---|---|
//! | opening and ending a span never blocks and never panics into the user | `never_blocks` |
//! | memory is bounded, by bytes and by count | `memory` |
//! | every span is in exactly one counter | `law`; for one exporter, `delivery/tests/law.rs` in the runtime |
//! | retry, throttling, split; permanent errors at once | `otlp_faults.rs`; `delivery/tests/retry.rs` |
//! | exporters do not starve each other | `exporters_isolated.rs`; `delivery/tests/isolation.rs` |
//! | workers are supervised | `delivery/tests/breaker.rs` |
//! | deadline kept, undelivered told, idempotent | `setup/ends.rs`, `otlp_faults.rs`; `delivery/tests/shutdown.rs` |
//! | no telemetry about telemetry | `exporters_isolated.rs`; `delivery/tests/isolation.rs` |
//! | a forked child has ids of its own and says that it records nothing | `fork` |
//! | one log line per change of state | `delivery/tests/breaker.rs` |
//!
//! Beside them what sampling, limits, leaves and the user's own processors promise. Each test sets up its process's
//! globals, so each runs as a process of its own.

mod alone;
#[cfg(unix)]
mod fork;
mod law;
mod leaves;
mod limits;
mod memory;
mod never_blocks;
mod processors;
mod sampling;
