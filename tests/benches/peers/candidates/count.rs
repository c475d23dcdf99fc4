//! Exporters that count: every span with valid ids and times that make sense.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};

static EXPORTED: AtomicU64 = AtomicU64::new(0);
static MALFORMED: AtomicU64 = AtomicU64::new(0);

pub(crate) fn exported() -> u64 {
    EXPORTED.load(Ordering::Relaxed)
}

pub(crate) fn malformed() -> u64 {
    MALFORMED.load(Ordering::Relaxed)
}

fn count(well_formed: bool) {
    EXPORTED.fetch_add(1, Ordering::Relaxed);
    if !well_formed {
        MALFORMED.fetch_add(1, Ordering::Relaxed);
    }
}

pub(crate) fn count_batch(batch: &[SpanData]) {
    for span in batch {
        count(
            span.span_context.is_valid() && span.end_time >= span.start_time && span.start_time > UNIX_EPOCH,
        );
    }
}

#[derive(Debug)]
pub(crate) struct CountSpans;

impl SpanExporter for CountSpans {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        count_batch(&batch);
        Ok(())
    }
}

pub(crate) struct CountRecords;

impl fastrace::collector::Reporter for CountRecords {
    fn report(&mut self, spans: Vec<fastrace::collector::SpanRecord>) {
        for span in &spans {
            count(span.trace_id.0 != 0 && span.span_id.0 != 0 && span.begin_time_unix_ns > 0);
        }
    }
}
