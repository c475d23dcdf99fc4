//! One attribute on a function, one call at start-up, one trace from the first HTTP request through Kafka to the
//! last worker.
//!
//! ```no_run
//! use throughline::{setup_tracing, traced_span};
//!
//! #[traced_span("planning.generate_plan", fields(task_id))]
//! fn generate_plan(task_id: u64) -> Result<u32, std::num::ParseIntError> {
//!     "3".parse()
//! }
//!
//! fn main() -> Result<(), throughline::SetupError> {
//!     let _telemetry = setup_tracing("planner")?; // everything else comes from the environment
//!     let _ = generate_plan(17);
//!     Ok(()) // dropping the guard delivers what is left
//! }
//! ```
//!
//! | to | read |
//! |---|---|
//! | turn tracing on, and see which variables there are | [`guide::setup`], [`setup_tracing`], [`Setup`] |
//! | make spans, with every argument of `#[traced_span]` | [`guide::spans`] |
//! | carry a trace to another process | [`guide::propagation`], [`inject_trace_context`], [`extract_trace_context`] |
//! | have trace ids in log lines | `guide::logs` (feature `log`) |
//! | trace a web server | `guide::server` (feature `server`) |
//! | trace Kafka | `kafka` (feature `kafka`) |
//! | keep traces in PostgreSQL or SQLite, and query them | `store` (feature `postgres` or `sqlite`) |
//! | ask for traces over HTTP, or receive them | `guide::api`, `api` (feature `viewer` with `postgres` or `sqlite`) |
//! | look at them with Grafana or Jaeger's pages | `guide::jaeger` (feature `viewer`, and one of those) |
//! | look at spans in tests | [`guide::testing`], [`testing::capture`] |
//!
//! A library that wants to be traceable depends on this crate with `default-features = false`: its attributes then cost
//! nothing until an application turns the feature `enable` on.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub use opentelemetry;

mod deadline;
mod diagnostics;
#[cfg(feature = "kafka")]
#[cfg_attr(docsrs, doc(cfg(feature = "kafka")))]
pub mod kafka;
#[cfg(any(feature = "otlp", all(feature = "viewer", any(feature = "sqlite", feature = "postgres"))))]
mod rpc_status;
#[cfg(any(feature = "kafka", feature = "server", feature = "sqlite", feature = "postgres"))]
mod text;
#[cfg(any(feature = "otlp-tls", feature = "postgres-tls"))]
mod tls;

pub mod propagation;
#[doc(inline)]
pub use propagation::{extract_onto, extract_trace_context, inject_context, inject_trace_context};

mod trace_context;
pub use trace_context::{CreationContext, TraceContext};

pub mod export;
mod pipeline;
pub mod testing;
pub use pipeline::report::{
    Dropped, ExporterDropped, ExporterHealth, ExporterReport, Health, HealthState, QueueHealth, Report,
};

mod instrument;
#[cfg(feature = "server")]
#[cfg_attr(docsrs, doc(cfg(feature = "server")))]
#[doc(inline)]
pub use instrument::server;

#[cfg(feature = "log")]
#[cfg_attr(docsrs, doc(cfg(feature = "log")))]
pub mod log;

#[cfg(any(feature = "sqlite", feature = "postgres"))]
#[cfg_attr(docsrs, doc(cfg(any(feature = "sqlite", feature = "postgres"))))]
pub mod store;

#[cfg(all(feature = "viewer", any(feature = "sqlite", feature = "postgres")))]
#[cfg_attr(docsrs, doc(cfg(all(feature = "viewer", any(feature = "sqlite", feature = "postgres")))))]
pub mod api;

#[cfg(feature = "serve")]
#[doc(hidden)]
pub mod serve;

mod setup;
pub use setup::{
    ConsoleFormat, EffectiveConfig, Exporter, LogFormat, OtlpProtocol, Setting, Setup, SetupError, Source,
    Telemetry, Warning, setup_tracing, shutdown_signal,
};

pub mod span;
#[cfg(feature = "kafka")]
#[cfg_attr(docsrs, doc(cfg(feature = "kafka")))]
#[doc(no_inline)]
pub use kafka::KafkaMessage;
pub use span::SpanLimits;
pub use span::current::{
    add_event, add_link, record_error, set_attribute, set_attributes, span_id, trace_id, update_name,
};
pub use span::{ErrorInfo, ErrorType, FieldValue, ToElement, ToValue};
#[doc = include_str!("../docs/trace_context.md")]
pub use throughline_macros::TraceContext;
#[doc = include_str!("../docs/kafka_consumer.md")]
pub use throughline_macros::kafka_consumer;
#[doc = include_str!("../docs/kafka_producer.md")]
pub use throughline_macros::kafka_producer;
#[doc = include_str!("../docs/record.md")]
pub use throughline_macros::record;
#[doc = include_str!("../docs/span.md")]
pub use throughline_macros::span;
#[doc = include_str!("../docs/traced_span.md")]
pub use throughline_macros::traced_span;

/// Guides, longer than a reference and with code that is tested.
pub mod guide {
    #[doc = include_str!("../docs/api.md")]
    #[cfg(all(feature = "viewer", any(feature = "sqlite", feature = "postgres")))]
    #[cfg_attr(docsrs, doc(cfg(all(feature = "viewer", any(feature = "sqlite", feature = "postgres")))))]
    pub mod api {}

    #[doc = include_str!("../docs/setup.md")]
    pub mod setup {}

    #[doc = include_str!("../docs/spans.md")]
    #[cfg(feature = "enable")]
    pub mod spans {}

    #[doc = include_str!("../docs/propagation.md")]
    #[cfg(feature = "enable")]
    pub mod propagation {}

    #[doc = include_str!("../docs/kafka.md")]
    #[cfg(feature = "kafka")]
    #[cfg_attr(docsrs, doc(cfg(feature = "kafka")))]
    pub mod kafka {}

    #[doc = include_str!("../docs/kafka_comparison.md")]
    #[cfg(feature = "kafka")]
    #[cfg_attr(docsrs, doc(cfg(feature = "kafka")))]
    pub mod kafka_comparison {}

    #[doc = include_str!("../docs/logs.md")]
    #[cfg(feature = "log")]
    #[cfg_attr(docsrs, doc(cfg(feature = "log")))]
    pub mod logs {}

    #[doc = include_str!("../docs/server.md")]
    #[cfg(feature = "server")]
    #[cfg_attr(docsrs, doc(cfg(feature = "server")))]
    pub mod server {}

    #[doc = include_str!("../docs/store.md")]
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    #[cfg_attr(docsrs, doc(cfg(any(feature = "sqlite", feature = "postgres"))))]
    pub mod store {}

    #[doc = include_str!("../docs/serve.md")]
    #[cfg(all(feature = "viewer", any(feature = "sqlite", feature = "postgres")))]
    #[cfg_attr(docsrs, doc(cfg(all(feature = "viewer", any(feature = "sqlite", feature = "postgres")))))]
    pub mod serve {}

    #[doc = include_str!("../docs/jaeger.md")]
    #[cfg(all(feature = "viewer", any(feature = "sqlite", feature = "postgres")))]
    #[cfg_attr(docsrs, doc(cfg(all(feature = "viewer", any(feature = "sqlite", feature = "postgres")))))]
    pub mod jaeger {}

    #[doc = include_str!("../docs/testing.md")]
    #[cfg(feature = "enable")]
    pub mod testing {}
}

#[cfg(doctest)]
#[cfg(feature = "kafka")]
#[doc = include_str!("../../README.md")]
struct Readme;

/// What the macros expand to. Not part of the public interface: it changes without notice.
#[doc(hidden)]
pub mod __private {
    #[cfg(feature = "kafka")]
    pub use crate::kafka;
    pub use crate::propagation::{Fields, FieldsMut, extract_trace_context, inject_context};
    pub use crate::span::*;
    pub use crate::trace_context::TraceContext;
    pub use opentelemetry;
    #[cfg(feature = "kafka")]
    pub use serde;
    pub use std::time::Duration;
}
