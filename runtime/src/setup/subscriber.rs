//! The `tracing` subscriber: spans of `tracing` join the same trace, log lines get its ids.

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

use super::choice::LogFormat;
use crate::diagnostics;

/// Installs the subscriber if the program has none. False if it has: that one stays.
#[cfg_attr(not(feature = "log"), allow(unused_variables))]
pub(super) fn install(
    provider: Option<&SdkTracerProvider>,
    level: Level,
    log_format: LogFormat,
    rust_log: Option<&str>,
) -> bool {
    let bridge = provider.map(|provider| {
        tracing_opentelemetry::layer::<Registry>()
            .with_tracer(provider.tracer("tracing"))
            // What costs most and says least: threads and poll times are those of the executor.
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_filter(
                // Our own lines are no events of the user's spans.
                filter_fn(move |metadata: &Metadata<'_>| {
                    metadata.target() != diagnostics::TARGET && *metadata.level() <= level
                })
                .with_max_level_hint(LevelFilter::from_level(level)),
            )
    });
    let subscriber = tracing_subscriber::registry().with(bridge);
    #[cfg(feature = "log")]
    let subscriber = {
        let filter = tracing_subscriber::EnvFilter::try_new(rust_log.unwrap_or("info"))
            .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
        subscriber.with(crate::log::filtered(log_format, filter))
    };
    let had_one = tracing::dispatcher::has_been_set();
    let installed = subscriber.try_init().is_ok();
    if installed && !cfg!(feature = "log") {
        diagnostics::subscriber_is_silent();
    }
    // With a logger of the `log` crate set before, `try_init` fails only after it has installed the subscriber.
    installed || !had_one
}
