//! Spans as the checker needs them, and an exporter that keeps just that.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use opentelemetry::{KeyValue, TraceId, Value};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};

use super::checker::Place;

/// A process span of one record, or the part that one record has in the span of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessSpan {
    /// The record.
    pub place: Place,
    /// The trace that the span is in, and those of its links.
    pub traces: Vec<TraceId>,
}

impl ProcessSpan {
    /// The records of a process span; of another span, none.
    pub fn of(span: &SpanData) -> Vec<Self> {
        let offset = |all: &[KeyValue]| {
            all.iter().find_map(|attribute| match (attribute.key.as_str(), &attribute.value) {
                ("messaging.kafka.offset", Value::I64(offset)) => Some(*offset),
                _ => None,
            })
        };
        if text(&span.attributes, "messaging.operation.type").as_deref() != Some("process") {
            return Vec::new();
        }
        let place = |own: &[KeyValue]| {
            let shared = |key| text(own, key).or_else(|| text(&span.attributes, key));
            let partition = shared("messaging.destination.partition.id")?.parse().ok()?;
            Some(Place::new(&shared("messaging.destination.name")?, partition, offset(own)?))
        };
        match place(&span.attributes) {
            Some(place) => {
                let linked = span.links.links.iter().map(|link| link.span_context.trace_id());
                let traces = std::iter::once(span.span_context.trace_id()).chain(linked).collect();
                vec![ProcessSpan { place, traces }]
            }
            // A batch: what tells its records apart is on the links.
            None => span
                .links
                .links
                .iter()
                .filter_map(|link| {
                    let traces = vec![link.span_context.trace_id()];
                    Some(ProcessSpan { place: place(&link.attributes)?, traces })
                })
                .collect(),
        }
    }
}

/// What a long run keeps of its spans.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Those of handlers.
    pub process: Vec<ProcessSpan>,
    /// How many spans of sends each trace has, by topic.
    pub sends: HashMap<(TraceId, String), usize>,
    /// `error.type` of each commit's span; `None` if the commit succeeded.
    pub commits: Vec<Option<String>>,
}

/// An exporter that keeps of the spans of a long run what the checker needs. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct SpanKeeper(Arc<Mutex<Seen>>);

impl SpanKeeper {
    /// All that arrived.
    pub fn seen(&self) -> Seen {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SpanExporter for SpanKeeper {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let mut seen = self.lock();
        for span in &batch {
            match text(&span.attributes, "messaging.operation.type").as_deref() {
                Some("process") => seen.process.extend(ProcessSpan::of(span)),
                Some("send") => {
                    let topic = text(&span.attributes, "messaging.destination.name").unwrap_or_default();
                    *seen.sends.entry((span.span_context.trace_id(), topic)).or_default() += 1;
                }
                Some("settle") => seen.commits.push(text(&span.attributes, "error.type")),
                _ => {}
            }
        }
        Ok(())
    }
}

fn text(all: &[KeyValue], key: &str) -> Option<String> {
    all.iter().find(|attribute| attribute.key.as_str() == key).map(|found| found.value.to_string())
}
