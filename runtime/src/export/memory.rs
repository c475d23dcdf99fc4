//! Spans kept in memory, for tests.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use opentelemetry::trace::TraceId;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};

/// Traces kept unless told otherwise.
const TRACES: usize = 1_000;
/// Spans kept of one trace at most.
const SPANS_PER_TRACE: usize = 10_000;

/// An exporter that keeps the spans of the newest traces in memory. Clones share them.
///
/// It is a `SpanExporter`, so it can be given to set-up like any other, and to a provider of the SDK.
///
/// ```
/// use throughline::export::memory::MemoryExporter;
///
/// let kept = MemoryExporter::new();
/// let exporter = kept.clone(); // goes to the set-up
/// assert!(kept.spans().is_empty());
/// # drop(exporter);
/// ```
#[derive(Clone, Debug)]
pub struct MemoryExporter {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    traces: Mutex<VecDeque<(TraceId, Vec<SpanData>)>>,
    arrived: Condvar,
    most_traces: usize,
}

impl Default for MemoryExporter {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryExporter {
    /// Keeps the newest 1,000 traces, of each 10,000 spans at most.
    pub fn new() -> Self {
        Self::with_traces(TRACES)
    }

    /// Keeps the newest `traces`; the oldest trace gives way, whole.
    pub fn with_traces(traces: usize) -> Self {
        Self {
            shared: Arc::new(Shared {
                traces: Mutex::new(VecDeque::new()),
                arrived: Condvar::new(),
                most_traces: traces.max(1),
            }),
        }
    }

    /// All spans kept, by trace, in the order of arrival.
    pub fn spans(&self) -> Vec<SpanData> {
        self.lock().iter().flat_map(|(_, spans)| spans.iter().cloned()).collect()
    }

    /// The spans of one trace.
    pub fn trace(&self, trace_id: TraceId) -> Vec<SpanData> {
        let traces = self.lock();
        traces.iter().find(|(id, _)| *id == trace_id).map(|(_, spans)| spans.clone()).unwrap_or_default()
    }

    /// Waits until at least `count` spans are kept, at most for `limit`; gives what is there then.
    ///
    /// For spans of the same process a flush is the better wait: it is over when they have arrived.
    pub fn wait_for(&self, count: usize, limit: Duration) -> Vec<SpanData> {
        let deadline = Instant::now() + limit;
        let mut traces = self.lock();
        while traces.iter().map(|(_, spans)| spans.len()).sum::<usize>() < count {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            traces = self.shared.arrived.wait_timeout(traces, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(traces);
        self.spans()
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.lock().clear();
    }

    fn keep(&self, batch: Vec<SpanData>) {
        let mut traces = self.lock();
        for span in batch {
            let id = span.span_context.trace_id();
            match traces.iter_mut().rev().find(|(kept, _)| *kept == id) {
                Some((_, spans)) if spans.len() < SPANS_PER_TRACE => spans.push(span),
                Some(_) => {}
                None => {
                    if traces.len() >= self.shared.most_traces {
                        traces.pop_front();
                    }
                    traces.push_back((id, vec![span]));
                }
            }
        }
        drop(traces);
        self.shared.arrived.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(TraceId, Vec<SpanData>)>> {
        self.shared.traces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SpanExporter for MemoryExporter {
    async fn export(&self, batch: Vec<SpanData>) -> opentelemetry_sdk::error::OTelSdkResult {
        self.keep(batch);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::samples;

    #[test]
    fn oldest_trace_gives_way_whole() {
        let kept = MemoryExporter::with_traces(2);
        for trace in 1..=3 {
            kept.keep(vec![samples::span(trace, 1, 0, "a"), samples::span(trace, 2, 1, "b")]);
        }
        assert!(kept.trace(TraceId::from(1_u128)).is_empty());
        assert_eq!(kept.trace(TraceId::from(3_u128)).len(), 2);
        assert_eq!(kept.spans().len(), 4);
        kept.clear();
        assert!(kept.spans().is_empty());
    }

    #[test]
    fn waiting_ends_with_the_span_that_was_missing() {
        let kept = MemoryExporter::new();
        let writer = kept.clone();
        let thread = std::thread::spawn(move || {
            for id in 1..=5 {
                writer.keep(vec![samples::span(1, id, 0, "a")]);
            }
        });
        assert_eq!(kept.wait_for(5, Duration::from_secs(60)).len(), 5);
        thread.join().unwrap();
        assert_eq!(kept.wait_for(6, Duration::ZERO).len(), 5, "at the limit, what is there");
    }
}
