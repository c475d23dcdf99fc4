//! The bridge: spans made through the stock SDK (`global::tracer(..)`, `tracing-opentelemetry`) enter the same
//! pipeline.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use opentelemetry::Context;
use opentelemetry::trace::Span as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};

use super::intake::Intake;
use super::size::{fit, span_bytes};
use crate::deadline;
use crate::span::record::Entry;
use crate::span::{foreign, fork, limits};

/// The processor that set-up gives to the SDK's provider.
pub(super) struct Bridge {
    pub(super) intake: Arc<Intake>,
    pub(super) flush: Box<dyn Fn(Instant) -> bool + Send + Sync>,
}

impl fmt::Debug for Bridge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bridge").finish_non_exhaustive()
    }
}

impl SpanProcessor for Bridge {
    fn on_start(&self, span: &mut Span, _cx: &Context) {
        // Recorded but not sampled: for other processors to see, not for export.
        if !span.span_context().is_sampled() || fork::is_child() {
            return;
        }
        match &*self.intake {
            Intake::Global(_) => foreign::count_started(),
            Intake::Local(local) => local.count_started(),
        }
    }

    fn on_end(&self, mut span: SpanData) {
        if !span.span_context.is_sampled() || fork::is_child() {
            return;
        }
        if limits::current().value_length.is_some() {
            cut_values(&mut span);
        }
        if !fit(&mut span) {
            return match &*self.intake {
                Intake::Global(_) => foreign::too_large(),
                Intake::Local(local) => local.too_large(),
            };
        }
        match &*self.intake {
            Intake::Global(_) => {
                let bytes = span_bytes(&span);
                foreign::push(Entry::Foreign(Box::new(span)), bytes);
            }
            Intake::Local(local) => local.push(span),
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        let limit = Duration::from_secs(5);
        if fork::is_child() || (self.flush)(deadline::after(limit)) {
            Ok(())
        } else {
            Err(OTelSdkError::Timeout(limit))
        }
    }

    /// The provider is a door to the pipeline and not its owner: only the pipeline's own guard shuts it down.
    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        if fork::is_child() || (self.flush)(deadline::after(timeout)) {
            Ok(())
        } else {
            Err(OTelSdkError::Timeout(timeout))
        }
    }
}

fn cut_values(span: &mut SpanData) {
    let limits = limits::current();
    let in_events = span.events.events.iter_mut().flat_map(|event| &mut event.attributes);
    let in_links = span.links.links.iter_mut().flat_map(|link| &mut link.attributes);
    for attribute in span.attributes.iter_mut().chain(in_events).chain(in_links) {
        attribute.value = limits.cut_value(attribute.value.clone());
    }
}

/// A user's own processor, shared between the SDK's provider and the collector.
#[derive(Clone, Debug)]
pub(super) struct SharedProcessor(Arc<Own>);

#[derive(Debug)]
struct Own {
    processor: Box<dyn SpanProcessor>,
    is_shut_down: AtomicBool,
}

impl SharedProcessor {
    pub(super) fn new(mut processor: Box<dyn SpanProcessor>, resource: &Resource) -> Self {
        processor.set_resource(resource);
        Self(Arc::new(Own { processor, is_shut_down: AtomicBool::new(false) }))
    }

    /// For spans of annotated functions there is no `on_start`: it needs a span of the SDK's own type.
    pub(super) fn on_end_of_ours(&self, span: &SpanData) {
        // A user's code: its panic costs nobody a span.
        let _ = catch_unwind(AssertUnwindSafe(|| self.0.processor.on_end(span.clone())));
    }
}

impl SpanProcessor for SharedProcessor {
    fn on_start(&self, span: &mut Span, cx: &Context) {
        self.0.processor.on_start(span, cx);
    }

    fn on_end(&self, span: SpanData) {
        self.0.processor.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.processor.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        // The pipeline does it, and the SDK's provider when the last handle to it goes.
        if self.0.is_shut_down.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        self.0.processor.shutdown_with_timeout(timeout)
    }
}

/// Calls each of the user's processors on a thread of its own, and waits until the deadline; false if it passed.
pub(super) fn for_each(
    processors: &[SharedProcessor],
    deadline: Instant,
    call: impl Fn(&SharedProcessor) + Send + 'static,
) -> bool {
    if processors.is_empty() {
        return true;
    }
    let processors = processors.to_vec();
    let (done, is_done) = mpsc::channel();
    let spawned = thread::Builder::new().name("throughline-processors".into()).spawn(move || {
        let _no_telemetry_about_telemetry = Context::enter_telemetry_suppressed_scope();
        for processor in &processors {
            // A user's code, as above.
            let _ = catch_unwind(AssertUnwindSafe(|| call(processor)));
        }
        let _ = done.send(());
    });
    spawned.is_ok() && is_done.recv_timeout(deadline.saturating_duration_since(Instant::now())).is_ok()
}
