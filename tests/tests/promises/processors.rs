//! The user's own processors, beside the pipeline.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanProcessor};
use throughline::opentelemetry::trace::{Span as _, Tracer as _};
use throughline::opentelemetry::{Context, KeyValue, global};
use throughline::traced_span;

use super::alone::{FAR, SpanData, alone, install, setup};

/// Notes what it is called with.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notes(Arc<Mutex<Vec<String>>>);

impl Notes {
    fn note(&self, what: impl Into<String>) {
        self.0.lock().expect("no panic").push(what.into());
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().expect("no panic").clone()
    }
}

impl SpanProcessor for Notes {
    fn on_start(&self, span: &mut Span, _: &Context) {
        span.set_attribute(KeyValue::new("by.processor", 1));
        self.note("start");
    }

    fn on_end(&self, span: SpanData) {
        self.note(format!("end {}", span.name));
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.note("flush");
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        self.note("shutdown");
        Ok(())
    }
}

#[derive(Debug)]
struct Panics;

impl SpanProcessor for Panics {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, _: SpanData) {
        std::panic::resume_unwind(Box::new("the processor's own mistake"))
    }

    fn force_flush(&self) -> OTelSdkResult {
        std::panic::resume_unwind(Box::new("the processor's own mistake"))
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        std::panic::resume_unwind(Box::new("the processor's own mistake"))
    }
}

#[traced_span("ours")]
fn ours() {}

alone! {
    fn processor_gets_on_end_for_annotated_functions_and_both_for_the_others() {
        let notes = Notes::default();
        let (telemetry, kept) = install(setup().span_processor(notes.clone()));
        ours();
        assert!(telemetry.flush(FAR).is_complete());
        assert_eq!(notes.all(), ["end ours", "flush"]);
        global::tracer("theirs").in_span("foreign", |_| ());
        assert!(telemetry.shutdown(FAR).is_complete());
        assert_eq!(notes.all()[2..], ["start", "end foreign", "shutdown"]);
        assert_eq!(kept.spans().len(), 2);
    }

    fn processor_that_panics_costs_nobody_a_span() {
        let notes = Notes::default();
        let (telemetry, kept) = install(setup().span_processor(Panics).span_processor(notes.clone()));
        ours();
        assert!(telemetry.flush(FAR).is_complete());
        ours();
        assert!(telemetry.shutdown(FAR).is_complete());
        assert_eq!(notes.all(), ["end ours", "flush", "end ours", "shutdown"]);
        assert_eq!(kept.spans().len(), 2);
    }
}
