//! The guard that set-up returns: flush, shut down, ask.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::sync::oneshot;

use super::effective::EffectiveConfig;
use crate::deadline;
use crate::diagnostics;
use crate::pipeline::Pipeline;
use crate::pipeline::report::{Health, Report};
use crate::span::fork;

/// The installed one; set-up fills it once.
static INSTALLED: Mutex<Option<Arc<Shared>>> = Mutex::new(None);

/// What the guard and its handles share.
pub(super) struct Shared {
    /// `None`: switched off.
    pipeline: Option<Pipeline>,
    service: String,
    config: EffectiveConfig,
    shutdown_timeout: Duration,
    started: Instant,
    is_shut_down: AtomicBool,
}

impl Shared {
    pub(super) fn new(
        pipeline: Option<Pipeline>,
        service: String,
        config: EffectiveConfig,
        shutdown_timeout: Duration,
    ) -> Self {
        let started = Instant::now();
        Self { pipeline, service, config, shutdown_timeout, started, is_shut_down: AtomicBool::new(false) }
    }

    fn flush(&self, timeout: Duration) -> Report {
        self.pipeline
            .as_ref()
            .map_or_else(Report::nothing, |pipeline| pipeline.flush(deadline::after(timeout)))
    }

    fn shutdown(&self, timeout: Duration) -> Report {
        self.is_shut_down.store(true, Ordering::Relaxed);
        self.pipeline
            .as_ref()
            .map_or_else(Report::nothing, |pipeline| pipeline.shutdown(deadline::after(timeout)))
    }
}

/// Tracing that is set up. Dropping the guard that [`install`](crate::Setup::install) returned delivers what is left and
/// shuts tracing down.
///
/// Keep it in `main` until the end:
///
/// ```
/// # fn main() -> Result<(), throughline::SetupError> {
/// # if true { return Ok(()) }
/// let telemetry = throughline::setup_tracing("planner")?;
/// // .. the program ..
/// let report = telemetry.shutdown(std::time::Duration::from_secs(5));
/// if !report.is_complete() {
///     eprintln!("{report}");
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping it shuts tracing down; keep it in a variable until the end of main"]
pub struct Telemetry {
    shared: Arc<Shared>,
    /// The guard shuts down when it is dropped; handles do not.
    is_guard: bool,
}

impl Telemetry {
    pub(super) fn guard(shared: Arc<Shared>) -> Self {
        Self { shared, is_guard: true }
    }

    /// A handle to what this process has installed, from anywhere. It does not shut down when it is dropped.
    ///
    /// `None` before set-up.
    pub fn current() -> Option<Self> {
        // In a child nobody unlocks what another thread of the parent held.
        let installed = if fork::is_child() { INSTALLED.try_lock().ok()? } else { lock() };
        installed.as_ref().map(|shared| Self { shared: Arc::clone(shared), is_guard: false })
    }

    /// The provider behind [`opentelemetry::global`]; `None` when tracing is switched off.
    #[must_use]
    pub fn provider(&self) -> Option<SdkTracerProvider> {
        self.shared.pipeline.as_ref().map(Pipeline::provider)
    }

    /// `service.name`, as it was decided.
    #[must_use]
    pub fn service_name(&self) -> &str {
        &self.shared.service
    }

    /// Every setting with its value and source, and the warnings of set-up.
    #[must_use]
    pub fn effective_config(&self) -> &EffectiveConfig {
        &self.shared.config
    }

    /// Whether tracing is on. It is off by `ENABLE_TRACING=false`, `OTEL_SDK_DISABLED=true`, in code, and after a shutdown,
    /// and in a process that was forked after set-up.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.shared.pipeline.is_some()
            && !fork::is_child()
            && !self.shared.is_shut_down.load(Ordering::Relaxed)
    }

    /// Delivers every span that has ended before the call; blocks for at most `timeout`.
    ///
    /// The report says what did not arrive by then.
    pub fn flush(&self, timeout: Duration) -> Report {
        self.shared.flush(timeout)
    }

    /// Has every span that has ended before the call looked at by the collector; waits for no exporter.
    pub(crate) fn collect(&self, timeout: Duration) -> bool {
        self.shared.pipeline.as_ref().is_none_or(|pipeline| pipeline.collect(deadline::after(timeout)))
    }

    /// Delivers what is left and ends tracing; blocks for at most `timeout`.
    ///
    /// The report says what was delivered, dropped by reason, and left. Spans that end later are counted as
    /// `already_shutdown`. A second call reports again and changes nothing.
    pub fn shutdown(&self, timeout: Duration) -> Report {
        self.shared.shutdown(timeout)
    }

    /// [`shutdown`](Self::shutdown) for async code: waits without blocking the executor, whichever it is.
    pub async fn shutdown_async(&self, timeout: Duration) -> Report {
        let (sender, receiver) = oneshot::channel();
        let shared = Arc::clone(&self.shared);
        let spawned = thread::Builder::new().name("throughline-shutdown".to_owned()).spawn(move || {
            let _ = sender.send(shared.shutdown(timeout));
        });
        if spawned.is_ok()
            && let Ok(report) = receiver.await
        {
            return report;
        }
        // Without a thread the caller has to wait itself.
        self.shared.shutdown(timeout)
    }

    /// How tracing is doing: whether spans arrive, what waits, the last error of each exporter.
    #[must_use]
    pub fn health(&self) -> Health {
        self.shared.pipeline.as_ref().map_or_else(Health::default, Pipeline::health)
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry")
            .field("service", &self.shared.service)
            .field("enabled", &self.is_enabled())
            .field("is_guard", &self.is_guard)
            .finish_non_exhaustive()
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        if !self.is_guard || fork::is_child() || self.shared.is_shut_down.load(Ordering::Relaxed) {
            return;
        }
        let report = self.shared.shutdown(self.shared.shutdown_timeout);
        let lived = self.shared.started.elapsed();
        if self.shared.pipeline.is_some() && report.ended == 0 && lived < Duration::from_secs(1) {
            diagnostics::warn(format_args!(
                "tracing was shut down {} ms after set-up, before any span; keep what setup_tracing returns in a \
                 variable until the end of main",
                lived.as_millis()
            ));
        } else if !report.is_complete() {
            // One line per event.
            let report = report.to_string().replace("\n  ", "; ");
            diagnostics::warn(format_args!("not all spans arrived before the shutdown: {report}"));
        }
    }
}

/// The place of the installed one. A panic while it was held cannot leave it half written.
pub(super) fn lock() -> std::sync::MutexGuard<'static, Option<Arc<Shared>>> {
    INSTALLED.lock().unwrap_or_else(PoisonError::into_inner)
}
