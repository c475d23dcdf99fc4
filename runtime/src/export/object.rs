//! Any `SpanExporter` of the OpenTelemetry SDK as one of ours.
//!
//! Such an exporter may block its thread, enter a runtime of its own, or need one of tokio's around it; nothing in its
//! type tells. So it is called on a thread of its own, outside any runtime but with one at hand: `block_on` and a
//! blocking HTTP client work there, and so do timers, sockets and `tokio::spawn`, which another thread drives.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::task::{Context as TaskContext, Poll, Wake, Waker};
use std::thread::{self, Thread};

use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::pipeline::exporter::{BatchExporter, DoneFuture, ExportError, ExportFuture, Exported};

/// The exporter under a name for reports and log lines.
pub(crate) fn object<E: SpanExporter + 'static>(
    name: impl Into<String>,
    exporter: E,
) -> Box<dyn BatchExporter> {
    Box::new(Foreign {
        name: name.into(),
        component_type: std::any::type_name::<E>(),
        exporter: Some(exporter),
        calls: None,
        busy: Arc::new(AtomicBool::new(false)),
    })
}

struct Foreign<E> {
    name: String,
    component_type: &'static str,
    /// Until the thread takes it.
    exporter: Option<E>,
    calls: Option<mpsc::Sender<Call>>,
    /// A call is under way that nobody waits for any more.
    busy: Arc<AtomicBool>,
}

enum Call {
    SetResource(Resource),
    Export(Vec<SpanData>, Reply),
    Flush(Reply),
    Shutdown(Reply),
}

/// What the call gave, or the panic in which it ended.
type Reply = oneshot::Sender<Result<OTelSdkResult, Box<dyn Any + Send>>>;

impl<E: SpanExporter + 'static> Foreign<E> {
    async fn call(&self, make: impl FnOnce(Reply) -> Call) -> OTelSdkResult {
        let gone = || OTelSdkError::InternalFailure("the exporter's thread is gone".into());
        let Some(calls) = &self.calls else { return Err(gone()) };
        if self.busy.swap(true, Ordering::AcqRel) {
            // Batches must not pile up before an exporter that does not come back.
            return Err(OTelSdkError::InternalFailure("it has not returned from an earlier call".into()));
        }
        let (reply, answer) = oneshot::channel();
        if calls.send(make(reply)).is_err() {
            return Err(gone());
        }
        match answer.await {
            Ok(Ok(result)) => result,
            // Counted where all panics of exporters are.
            Ok(Err(payload)) => resume_unwind(payload),
            Err(_) => Err(gone()),
        }
    }
}

impl<E: SpanExporter + 'static> BatchExporter for Foreign<E> {
    fn component_type(&self) -> &'static str {
        self.component_type
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn start(&mut self, resource: &Resource) {
        let Some(mut exporter) = self.exporter.take() else { return };
        let (calls, incoming) = mpsc::channel();
        let runtime = Handle::try_current().ok();
        let busy = Arc::clone(&self.busy);
        // A thread that cannot start shows in every export.
        let started = thread::Builder::new().name("throughline-export-call".into()).spawn(move || {
            let _suppressed = Context::enter_telemetry_suppressed_scope();
            let _runtime = runtime.as_ref().map(Handle::enter);
            for call in incoming {
                answer(&mut exporter, call, &busy);
            }
        });
        if started.is_ok() {
            let _ = calls.send(Call::SetResource(resource.clone()));
            self.calls = Some(calls);
        }
    }

    fn export<'a>(&'a mut self, spans: &'a [SpanData]) -> ExportFuture<'a> {
        self.export_taken(spans.to_vec())
    }

    fn takes_spans(&self) -> bool {
        true
    }

    fn export_taken(&mut self, spans: Vec<SpanData>) -> ExportFuture<'_> {
        Box::pin(async move {
            match self.call(|reply| Call::Export(spans, reply)).await {
                Ok(()) => Ok(Exported::default()),
                Err(error) => Err(classified(&error)),
            }
        })
    }

    fn flush(&mut self) -> DoneFuture<'_> {
        Box::pin(async {
            let _ = self.call(Call::Flush).await;
        })
    }

    fn shutdown(&mut self) -> DoneFuture<'_> {
        Box::pin(async {
            let _ = self.call(Call::Shutdown).await;
        })
    }

    fn may_block(&self) -> bool {
        // The call does not; what the exporter spawns on the runtime may.
        true
    }
}

/// The error type has no classes: only what names itself a time-out is worth another attempt.
fn classified(error: &OTelSdkError) -> ExportError {
    let message = error.to_string().into();
    match error {
        OTelSdkError::Timeout(_) => ExportError::Transient { retry_after: None, message },
        OTelSdkError::AlreadyShutdown => ExportError::Closed { message },
        OTelSdkError::InternalFailure(_) => ExportError::Permanent { message },
    }
}

fn answer<E: SpanExporter>(exporter: &mut E, call: Call, busy: &AtomicBool) {
    let (reply, result) = match call {
        Call::SetResource(resource) => {
            // Without its resource an exporter still has spans to send.
            let _ = catch_unwind(AssertUnwindSafe(|| exporter.set_resource(&resource)));
            return;
        }
        Call::Export(spans, reply) => (reply, caught(|| block_on(exporter.export(spans)))),
        Call::Flush(reply) => (reply, caught(|| exporter.force_flush())),
        Call::Shutdown(reply) => (reply, caught(|| exporter.shutdown())),
    };
    busy.store(false, Ordering::Release);
    let _ = reply.send(result);
}

fn caught(call: impl FnOnce() -> OTelSdkResult) -> Result<OTelSdkResult, Box<dyn Any + Send>> {
    catch_unwind(AssertUnwindSafe(call))
}

/// Polls to the end, parked in between. Not the runtime's `block_on`, under which blocking would be refused.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut cx = TaskContext::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut cx) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

#[cfg(test)]
mod tests;
