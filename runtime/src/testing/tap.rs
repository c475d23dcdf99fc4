//! Where captures take their spans: between the collector and the exporters.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use opentelemetry::trace::TraceId;
use opentelemetry_sdk::trace::SpanData;

/// Spans kept for one capture at most.
const SPANS: usize = 100_000;

/// Captures that run now; the one number that a program without captures ever reads here.
static OPEN: AtomicUsize = AtomicUsize::new(0);
static WANTED: Mutex<Option<HashMap<TraceId, Vec<SpanData>>>> = Mutex::new(None);

/// A trace whose spans are wanted, until this is dropped.
#[derive(Debug)]
pub(crate) struct Tap {
    trace_id: TraceId,
}

impl Tap {
    pub(crate) fn open(trace_id: TraceId) -> Self {
        wanted().get_or_insert_default().insert(trace_id, Vec::new());
        OPEN.fetch_add(1, Ordering::Release);
        Self { trace_id }
    }

    /// The spans collected since the last call.
    pub(crate) fn take(&self) -> Vec<SpanData> {
        wanted()
            .as_mut()
            .and_then(|wanted| wanted.get_mut(&self.trace_id))
            .map(std::mem::take)
            .unwrap_or_default()
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        OPEN.fetch_sub(1, Ordering::Release);
        if let Some(wanted) = wanted().as_mut() {
            wanted.remove(&self.trace_id);
        }
    }
}

/// Copies the spans that some capture wants.
pub(crate) fn offer(spans: &[SpanData]) {
    // A capture opens its tap before its first span begins, and a lock lies between that and the collector.
    if OPEN.load(Ordering::Acquire) == 0 {
        return;
    }
    let mut wanted = wanted();
    let Some(wanted) = wanted.as_mut() else { return };
    for span in spans {
        if let Some(kept) = wanted.get_mut(&span.span_context.trace_id())
            && kept.len() < SPANS
        {
            kept.push(span.clone());
        }
    }
}

fn wanted() -> MutexGuard<'static, Option<HashMap<TraceId, Vec<SpanData>>>> {
    WANTED.lock().unwrap_or_else(PoisonError::into_inner)
}
