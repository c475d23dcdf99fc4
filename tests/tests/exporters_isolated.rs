//! Exporters given as objects, each with a fault of its own, and one that gets everything nevertheless.

use std::fmt;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use opentelemetry::trace::{Span as _, Tracer as _, TracerProvider as _};
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use throughline::export::memory::MemoryExporter;
use throughline::{Exporter, HealthState, Setup, Telemetry};

const FAR: Duration = Duration::from_secs(60);

/// What is wrong with it.
enum Fault {
    Hangs,
    BlocksUntilReleased(Mutex<Receiver<()>>),
    Panics,
    Fails,
}

struct Faulty(Fault);

impl fmt::Debug for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faulty")
    }
}

impl SpanExporter for Faulty {
    async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
        match &self.0 {
            Fault::Hangs => std::future::pending().await,
            Fault::BlocksUntilReleased(release) => {
                let _ = release.lock().unwrap_or_else(PoisonError::into_inner).recv();
                Ok(())
            }
            // The hook stays quiet, the unwinding is the same.
            Fault::Panics => std::panic::resume_unwind(Box::new("the exporter's own mistake")),
            Fault::Fails => Err(OTelSdkError::InternalFailure("no such table".into())),
        }
    }
}

fn setup() -> Setup {
    Setup::new("test").without_environment().exporters([Exporter::None])
}

fn send(telemetry: &Telemetry, spans: usize) {
    let tracer = telemetry.provider().expect("tracing is on").tracer("test");
    for number in 0..spans {
        tracer.start(format!("span {number}")).end();
    }
}

#[test]
fn one_hangs_one_blocks_one_panics_one_fails_and_the_fifth_gets_everything() {
    let kept = MemoryExporter::with_traces(10_000);
    let (release, blocked) = channel();
    let telemetry = setup()
        .exporter(Faulty(Fault::Hangs))
        .exporter(Faulty(Fault::BlocksUntilReleased(Mutex::new(blocked))))
        .exporter(Faulty(Fault::Panics))
        .exporter(Faulty(Fault::Fails))
        .exporter(kept.clone())
        .batch_size(100)
        .local()
        .expect("set-up");
    send(&telemetry, 2_000);
    // Nobody is waited for here but the one that works.
    let _ = telemetry.flush(Duration::ZERO);
    assert_eq!(kept.wait_for(2_000, FAR).len(), 2_000);

    let report = telemetry.shutdown(Duration::from_millis(100));
    drop(release);
    assert!(!report.deadline_met, "{report}");
    assert_eq!((report.ended, report.collected), (2_000, 2_000), "{report}");
    for exporter in &report.exporters {
        let accounted = exporter.exported + exporter.dropped.total() + exporter.undelivered;
        assert_eq!(accounted, 2_000, "every span is in exactly one place: {exporter}");
    }
    assert_eq!(report.exporters[4].exported, 2_000);
    assert_eq!(telemetry.health().state, HealthState::Degraded);
}

#[test]
fn resource_reaches_the_exporter() {
    #[derive(Debug)]
    struct Names(Arc<Mutex<Vec<String>>>);

    impl SpanExporter for Names {
        async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
            Ok(())
        }

        fn set_resource(&mut self, resource: &opentelemetry_sdk::Resource) {
            let name = resource.get(&"service.name".into()).expect("a service name");
            self.0.lock().expect("no panic").push(name.to_string());
        }
    }

    let names = Arc::new(Mutex::new(Vec::new()));
    let telemetry = setup().exporter(Names(Arc::clone(&names))).local().expect("set-up");
    send(&telemetry, 1);
    assert!(telemetry.shutdown(FAR).is_complete());
    assert_eq!(*names.lock().expect("no panic"), ["test"]);
}

/// An exporter that is itself written with annotated functions and the plain API.
mod instrumented {
    use super::*;
    use throughline::traced_span;

    #[derive(Debug)]
    pub(super) struct Instrumented(pub(super) Arc<Mutex<Vec<bool>>>);

    #[traced_span("INSERT")]
    fn insert() -> Option<String> {
        throughline::trace_id()
    }

    impl SpanExporter for Instrumented {
        async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
            let plain = opentelemetry::global::tracer("client").start("POST").is_recording();
            let annotated = insert().is_some();
            self.0.lock().expect("no panic").extend([plain, annotated]);
            Ok(())
        }
    }
}

#[test]
fn instrumented_exporter_makes_no_spans() {
    // Turns on recording in this process.
    let recorded = throughline::testing::capture(|| opentelemetry::global::tracer("app").start("app").end());
    assert_eq!(recorded.spans().len(), 1);

    let seen = Arc::new(Mutex::new(Vec::new()));
    let telemetry = setup().exporter(instrumented::Instrumented(Arc::clone(&seen))).local().expect("set-up");
    send(&telemetry, 1);
    assert!(telemetry.shutdown(FAR).is_complete());
    assert_eq!(*seen.lock().expect("no panic"), [false, false]);
}
