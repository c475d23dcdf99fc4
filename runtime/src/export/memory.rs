//! Spans kept in memory, for tests.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use opentelemetry::trace::TraceId;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};

use crate::deadline;

/// Traces kept unless told otherwise.
const TRACES: usize = 1_000;
/// Spans kept of all traces together.
const SPANS: usize = 100_000;

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
    kept: Mutex<Kept>,
    arrived: Condvar,
    most_traces: usize,
}

#[derive(Debug, Default)]
struct Kept {
    traces: VecDeque<(TraceId, Vec<SpanData>)>,
    spans: usize,
}

impl Kept {
    fn keep(&mut self, span: SpanData) {
        let id = span.span_context.trace_id();
        self.spans += 1;
        // The newest is the likeliest.
        match self.traces.iter_mut().rev().find(|(kept, _)| *kept == id) {
            Some((_, spans)) => spans.push(span),
            None => self.traces.push_back((id, vec![span])),
        }
    }

    fn make_room(&mut self, most_traces: usize) {
        while (self.traces.len() > most_traces || self.spans > SPANS)
            && let Some((_, spans)) = self.traces.pop_front()
        {
            self.spans -= spans.len();
        }
    }
}

impl Default for MemoryExporter {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryExporter {
    /// Keeps the newest 1,000 traces, and 100,000 spans at most.
    pub fn new() -> Self {
        Self::with_traces(TRACES)
    }

    /// Keeps the newest `traces`, and 100,000 spans at most; the oldest trace gives way, whole.
    pub fn with_traces(traces: usize) -> Self {
        Self {
            shared: Arc::new(Shared {
                kept: Mutex::default(),
                arrived: Condvar::new(),
                most_traces: traces.max(1),
            }),
        }
    }

    /// All spans kept, by trace, in the order of arrival.
    pub fn spans(&self) -> Vec<SpanData> {
        self.lock().traces.iter().flat_map(|(_, spans)| spans.iter().cloned()).collect()
    }

    /// The spans of one trace.
    pub fn trace(&self, trace_id: TraceId) -> Vec<SpanData> {
        let kept = self.lock();
        kept.traces.iter().find(|(id, _)| *id == trace_id).map(|(_, spans)| spans.clone()).unwrap_or_default()
    }

    /// Waits until at least `count` spans are kept, at most for `limit`; gives what is there then.
    ///
    /// For spans of the same process a flush is the better wait: it is over when they have arrived.
    pub fn wait_for(&self, count: usize, limit: Duration) -> Vec<SpanData> {
        let deadline = deadline::after(limit);
        let mut kept = self.lock();
        while kept.spans < count {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            kept = self.shared.arrived.wait_timeout(kept, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(kept);
        self.spans()
    }

    /// Forgets everything.
    pub fn clear(&self) {
        *self.lock() = Kept::default();
    }

    fn keep(&self, batch: Vec<SpanData>) {
        let mut kept = self.lock();
        for span in batch {
            kept.keep(span);
        }
        kept.make_room(self.shared.most_traces);
        drop(kept);
        self.shared.arrived.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.shared.kept.lock().unwrap_or_else(PoisonError::into_inner)
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
        assert_eq!(kept.wait_for(5, Duration::MAX).len(), 5, "for ever is no overflow");
        thread.join().unwrap();
        assert_eq!(kept.wait_for(6, Duration::ZERO).len(), 5, "at the limit, what is there");
    }
}
