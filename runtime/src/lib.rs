//! One attribute on a function, one call at start-up, one trace from the first HTTP request through Kafka to the
//! last worker.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub use opentelemetry;

mod diagnostics;
#[cfg(feature = "kafka")]
#[cfg_attr(docsrs, doc(cfg(feature = "kafka")))]
pub mod kafka;

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

mod setup;
pub use setup::{
    ConsoleFormat, EffectiveConfig, Exporter, LogFormat, OtlpProtocol, Setting, Setup, SetupError, Source,
    Telemetry, Warning, setup_tracing, shutdown_signal,
};

pub mod span;
pub use span::SpanLimits;
pub use span::current::{
    add_event, add_link, record_error, set_attribute, set_attributes, span_id, trace_id, update_name,
};
pub use span::{ErrorInfo, ErrorType, FieldValue, ToElement, ToValue};
pub use throughline_macros::{TraceContext, kafka_consumer, record, span, traced_span};

/// What the macros expand to. Not part of the public interface: it changes without notice.
#[doc(hidden)]
pub mod __private {
    #[cfg(feature = "kafka")]
    pub use crate::kafka;
    pub use crate::propagation::{Fields, FieldsMut, extract_trace_context, inject_context};
    pub use crate::span::*;
    pub use crate::trace_context::TraceContext;
    pub use opentelemetry;
    pub use std::time::Duration;
}
