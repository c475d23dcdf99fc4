//! opentelemetry_sdk with its batch processor.

use std::hint::black_box;
use std::sync::OnceLock;
use std::time::Duration;

use opentelemetry::context::FutureExt;
use opentelemetry::trace::{TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider,
};

use super::count::CountSpans;
use super::{Candidate, body, on_current_thread, wait};

static PROVIDER: OnceLock<SdkTracerProvider> = OnceLock::new();
static TRACER: OnceLock<SdkTracer> = OnceLock::new();

pub(super) fn provider(ratio: f64) -> SdkTracerProvider {
    let batches = BatchSpanProcessor::builder(CountSpans)
        .with_batch_config(
            BatchConfigBuilder::default()
                .with_max_queue_size(65_536)
                .with_max_export_batch_size(512)
                .with_scheduled_delay(Duration::from_secs(1))
                .build(),
        )
        .build();
    let provider = SdkTracerProvider::builder()
        .with_span_processor(batches)
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(ratio))))
        .build();
    let _ = PROVIDER.set(provider.clone());
    provider
}

pub(super) fn flush() {
    if let Some(provider) = PROVIDER.get() {
        provider.force_flush().expect("a counting exporter does not fail");
    }
}

fn tracer() -> &'static SdkTracer {
    TRACER.get().expect("set in start")
}

fn attributes(i: i64) -> [KeyValue; 2] {
    [KeyValue::new("id", i), KeyValue::new("kind", "abc")]
}

#[inline(never)]
fn child(i: i64) {
    let tracer = tracer();
    let span = tracer.span_builder("child").with_attributes(attributes(i)).start(tracer);
    let _guard = Context::current_with_span(span).attach();
    body(i);
}

#[inline(never)]
fn root() {
    let tracer = tracer();
    let _guard = Context::current_with_span(tracer.start("root")).attach();
    for i in 0..10 {
        child(black_box(i));
    }
}

async fn async_child(i: i64, yields: bool) {
    let tracer = tracer();
    let span = tracer.span_builder("child").with_attributes(attributes(i)).start(tracer);
    async {
        wait(yields).await;
        black_box(i);
    }
    .with_context(Context::current_with_span(span))
    .await;
}

fn async_traces(count: u64, yields: bool) {
    on_current_thread(async {
        for _ in 0..count {
            let cx = Context::current_with_span(tracer().start("root"));
            async {
                for i in 0..10 {
                    async_child(black_box(i), yields).await;
                }
            }
            .with_context(cx)
            .await;
        }
    });
}

pub(super) fn start(ratio: f64) -> Candidate {
    let _ = TRACER.set(provider(ratio).tracer("bench"));
    let traces = |count| (0..count).for_each(|_| root());
    let spans_per_trace = if ratio < 1.0 { 0 } else { 11 };
    Candidate { traces, async_traces: Some(async_traces), flush, spans_per_trace }
}
