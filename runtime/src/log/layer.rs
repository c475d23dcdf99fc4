//! The layer that set-up installs, for programs that compose their own subscriber.

use std::io;

use tracing::Subscriber;
use tracing_subscriber::fmt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Layer};

use super::TraceIds;
use crate::setup::LogFormat;

/// Log lines with trace ids on standard error, filtered by `RUST_LOG` (default `info`).
///
/// ```
/// use throughline::LogFormat;
/// use tracing_subscriber::layer::SubscriberExt;
///
/// let subscriber = tracing_subscriber::registry().with(throughline::log::layer(LogFormat::Json));
/// ```
pub fn layer<S>(format: LogFormat) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    filtered(format, EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info")))
}

/// The same with a given filter.
pub(crate) fn filtered<S>(format: LogFormat, filter: EnvFilter) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    match format {
        LogFormat::Text => fmt::layer()
            .with_writer(io::stderr)
            .event_format(TraceIds::text(fmt::format()))
            .with_filter(filter)
            .boxed(),
        LogFormat::Json => fmt::layer()
            .json()
            .with_writer(io::stderr)
            .event_format(TraceIds::json(fmt::format().json().with_current_span(false).with_span_list(false)))
            .with_filter(filter)
            .boxed(),
    }
}
