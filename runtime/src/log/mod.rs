//! Trace ids in `tracing` log lines, as text and as JSON.
//!
//! [`setup_tracing`](crate::setup_tracing) installs this when the program has no subscriber yet:
//! `THROUGHLINE_LOG_FORMAT` chooses `text` (the default) or `json`, `RUST_LOG` what is written (default `info`), and
//! the lines go to standard error. A program with a subscriber of its own wraps its format:
//!
//! ```
//! use throughline::log::TraceIds;
//!
//! let subscriber = tracing_subscriber::fmt()
//!     .event_format(TraceIds::text(tracing_subscriber::fmt::format()))
//!     .finish();
//! ```
//!
//! `trace_id`, `span_id` and `trace_flags` are those of OpenTelemetry's current `Context`. So they are there for annotated
//! functions, for spans of the plain OpenTelemetry API, and for spans of `tracing` itself. Spans that are not sampled
//! are shown as well, with `trace_flags` 00, so that the lines of one request can still be joined. Outside of a trace
//! nothing is added.
//!
//! An event's explicit `parent:` is not seen, because the context does not know of it.

mod format;
mod layer;

pub use format::TraceIds;
pub(crate) use layer::filtered;
pub use layer::layer;
