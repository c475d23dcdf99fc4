//! What a batch adds to the tables beside the spans: summaries of its traces, operations, resources.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::bloom::Bloom;
use super::span::{StoredResource, StoredSpan};

/// What the spans of one trace in one batch say about it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Summary<'a> {
    pub(crate) trace_id: [u8; 16],
    pub(crate) start_ns: i64,
    pub(crate) end_ns: i64,
    /// The root, else the earliest span; of several, the one with the lowest number.
    pub(crate) head: Head<'a>,
    pub(crate) span_count: i64,
    pub(crate) error_count: i64,
    pub(crate) services: BTreeSet<&'a str>,
    pub(crate) attributes: Bloom,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head<'a> {
    pub(crate) is_root: bool,
    pub(crate) start_ns: i64,
    pub(crate) span_id: i64,
    pub(crate) service: &'a str,
    pub(crate) operation: &'a str,
    pub(crate) status: i16,
}

impl<'a> Head<'a> {
    fn of(span: &'a StoredSpan) -> Self {
        Self {
            is_root: span.is_root(),
            start_ns: span.start_ns,
            span_id: id_number(span.span_id),
            service: &span.service_name,
            operation: &span.operation_name,
            status: span.status,
        }
    }

    /// The order in which heads are preferred, the same as in the upserts: it must not matter how spans are batched.
    fn rank(&self) -> (bool, i64, i64) {
        (!self.is_root, self.start_ns, self.span_id)
    }
}

/// The eight bytes of a span id as databases keep them.
pub(crate) fn id_number(id: opentelemetry::trace::SpanId) -> i64 {
    i64::from_be_bytes(id.to_bytes())
}

/// The summaries, by trace id: whoever locks rows in this order waits for no one who waits for him.
pub(crate) fn summaries<'a>(spans: impl IntoIterator<Item = &'a StoredSpan>) -> Vec<Summary<'a>> {
    let mut traces: BTreeMap<[u8; 16], Summary<'a>> = BTreeMap::new();
    for span in spans {
        let head = Head::of(span);
        let summary = traces.entry(span.trace_id.to_bytes()).or_insert_with(|| Summary {
            trace_id: span.trace_id.to_bytes(),
            start_ns: span.start_ns,
            end_ns: span.end_ns(),
            head,
            span_count: 0,
            error_count: 0,
            services: BTreeSet::new(),
            attributes: Bloom::default(),
        });
        summary.start_ns = summary.start_ns.min(span.start_ns);
        summary.end_ns = summary.end_ns.max(span.end_ns());
        if head.rank() < summary.head.rank() {
            summary.head = head;
        }
        summary.span_count += 1;
        summary.error_count += i64::from(span.is_error());
        summary.services.insert(&span.service_name);
        summary.attributes.add_object(&span.attributes_json);
    }
    traces.into_values().collect()
}

/// Service, operation and kind.
pub(crate) type Operation = (String, String, i16);

/// What this process has written to the small tables lately, so that most batches write none of it again.
#[derive(Debug, Default)]
pub(crate) struct Known {
    operations: BTreeSet<Operation>,
    resources: BTreeSet<i64>,
    /// The day of which it is known: once a day everything is told anew, which keeps `last_seen` young.
    day: i64,
}

/// Beyond this many names the memory starts anew.
const MOST_KNOWN: usize = 10_000;

/// Rows for the small tables, sorted.
#[derive(Debug, Default)]
pub(crate) struct News {
    pub(crate) operations: Vec<Operation>,
    pub(crate) resources: Vec<Arc<StoredResource>>,
}

impl Known {
    /// What of these spans is not known.
    pub(crate) fn news<'a>(&mut self, spans: impl IntoIterator<Item = &'a StoredSpan>, now_ns: i64) -> News {
        let day = now_ns / 86_400_000_000_000;
        if self.day != day || self.operations.len() + self.resources.len() > MOST_KNOWN {
            *self = Self { day, ..Self::default() };
        }
        let mut operations: BTreeSet<(&str, &str, i16)> = BTreeSet::new();
        let mut resources: BTreeMap<i64, &Arc<StoredResource>> = BTreeMap::new();
        for span in spans {
            operations.insert((&span.service_name, &span.operation_name, span.kind));
            resources.insert(span.resource.id, &span.resource);
        }
        let operations = operations
            .into_iter()
            .map(|(service, operation, kind)| (service.to_owned(), operation.to_owned(), kind))
            .filter(|operation| !self.operations.contains(operation))
            .collect();
        let resources = resources
            .into_iter()
            .filter(|(id, _)| !self.resources.contains(id))
            .map(|(_, resource)| Arc::clone(resource))
            .collect();
        News { operations, resources }
    }

    /// After the commit: they are written.
    pub(crate) fn learn(&mut self, news: News) {
        self.operations.extend(news.operations);
        self.resources.extend(news.resources.iter().map(|resource| resource.id));
    }
}

/// What became of one span of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Inserted,
    /// The same trace, span and start were there.
    Duplicate,
    Rejected,
}

/// Those of the spans that were inserted.
pub(crate) fn inserted<'a>(spans: &[&'a StoredSpan], fates: &[Fate]) -> impl Iterator<Item = &'a StoredSpan> {
    spans.iter().zip(fates).filter(|(_, fate)| **fate == Fate::Inserted).map(|(span, _)| *span)
}

/// The spans of a batch that can be stored, and where they stand in it.
pub(crate) struct Fitting<'a> {
    pub(crate) spans: Vec<&'a StoredSpan>,
    places: Vec<usize>,
    /// How many the batch has.
    count: usize,
}

impl<'a> Fitting<'a> {
    /// Without the spans that are older than the retention, or more than a year ahead. They are never moved in time.
    pub(crate) fn new(spans: &'a [StoredSpan], now_ns: i64, retention: Option<std::time::Duration>) -> Self {
        const YEAR_NS: i64 = 366 * 86_400_000_000_000;
        let oldest =
            retention.map_or(0, |retention| now_ns.saturating_sub(super::span::nanoseconds(retention)));
        let newest = now_ns.saturating_add(YEAR_NS);
        let fits = spans.iter().enumerate().filter(|(_, span)| (oldest..=newest).contains(&span.start_ns));
        let (places, fitting) = fits.unzip();
        Self { spans: fitting, places, count: spans.len() }
    }

    /// The fates of all spans of the batch, from those of the fitting ones.
    pub(crate) fn all(&self, fates: &[Fate]) -> Vec<Fate> {
        let mut all = vec![Fate::Rejected; self.count];
        for (&place, &fate) in self.places.iter().zip(fates) {
            if let Some(slot) = all.get_mut(place) {
                *slot = fate;
            }
        }
        all
    }
}
