//! One attribute on a function, one call at start-up, one trace from the first HTTP request through Kafka to the
//! last worker.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub use opentelemetry;

mod diagnostics;
#[cfg(feature = "kafka")]
#[cfg_attr(docsrs, doc(cfg(feature = "kafka")))]
pub mod kafka;

mod trace_context;
pub use trace_context::{CreationContext, TraceContext};

mod pipeline;
pub use pipeline::report::{
    Dropped, ExporterDropped, ExporterHealth, ExporterReport, Health, HealthState, QueueHealth, Report,
};
