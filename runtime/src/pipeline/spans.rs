//! Spans that leave together: shared by the exporters that look at them, handed over to one that takes them for itself.
//!
//! Such an exporter may say that it ran into a time-out, and is then given the same spans again. A copy kept for that would
//! cost more than all else on the way here, and is hardly ever needed. So what is kept is what the spans were made of:
//! numbers and references, of which they are made again. Only of a span that owns more than that a copy is kept.

use std::ops::Range;
use std::sync::Arc;

use opentelemetry_sdk::trace::SpanData;

use super::convert::Converter;
use super::timeline::Times;
use crate::span::message::Details;
use crate::span::record::Record;

/// What a span was made of, which owns no memory.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) record: Record,
    pub(super) details: Option<Details>,
    pub(super) times: Times,
}

/// What some spans were made of, in their order.
#[derive(Debug)]
pub(super) struct Sources {
    /// `None`: of more than that, or it comes from the stock SDK. When it is given away, a copy is kept.
    pub(super) each: Vec<Option<Source>>,
    pub(super) code_attributes: bool,
}

/// The spans of a batch. A clone shares them.
#[derive(Clone, Debug)]
pub(crate) struct Spans {
    count: usize,
    /// Until somebody has taken them.
    made: Option<Arc<Vec<SpanData>>>,
    /// Where some exporter takes spans.
    sources: Option<Arc<Sources>>,
    /// Of spans that were taken and cannot be made again, at their place.
    copies: Vec<Option<Box<SpanData>>>,
}

impl From<Arc<Vec<SpanData>>> for Spans {
    fn from(made: Arc<Vec<SpanData>>) -> Self {
        Spans { count: made.len(), made: Some(made), sources: None, copies: Vec::new() }
    }
}

impl Spans {
    pub(super) fn new(made: Vec<SpanData>, sources: Option<Sources>) -> Self {
        let sources = sources.filter(|sources| sources.each.len() == made.len()).map(Arc::new);
        Spans { sources, ..Arc::new(made).into() }
    }

    /// As the collector makes them for an exporter that takes spans.
    #[cfg(test)]
    pub(crate) fn to_be_taken(made: Vec<SpanData>) -> Self {
        let each = made.iter().map(|_| None).collect();
        Spans::new(made, Some(Sources { each, code_attributes: false }))
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// To be looked at; nothing once they were taken.
    pub(crate) fn get(&self, part: Range<usize>) -> &[SpanData] {
        self.made.as_ref().and_then(|made| made.get(part)).unwrap_or_default()
    }

    /// For an exporter that keeps them: the original if all are asked for and nobody else has them any more, else a copy.
    /// They can be taken again.
    pub(super) fn take(&mut self, part: Range<usize>) -> Vec<SpanData> {
        let is_whole = part == (0..self.count);
        match (self.made.take(), &self.sources) {
            (Some(made), Some(sources)) if is_whole => {
                self.copies = sources.copies(&made);
                Arc::unwrap_or_clone(made)
            }
            (None, Some(sources)) => sources.make(part, &self.copies),
            (made, _) => {
                self.made = made;
                self.get(part).to_vec()
            }
        }
    }
}

impl Sources {
    /// Copies of those that cannot be made again.
    fn copies(&self, made: &[SpanData]) -> Vec<Option<Box<SpanData>>> {
        if self.each.iter().all(Option::is_some) {
            return Vec::new();
        }
        let copy = |(source, span): (&Option<Source>, &SpanData)| match source {
            Some(_) => None,
            None => Some(Box::new(span.clone())),
        };
        self.each.iter().zip(made).map(copy).collect()
    }

    fn make(&self, part: Range<usize>, copies: &[Option<Box<SpanData>>]) -> Vec<SpanData> {
        let mut converter = Converter::new(self.code_attributes);
        let make = |at: usize| match self.each.get(at)? {
            Some(Source { record, details, times }) => {
                Some(converter.span(record.clone(), details.as_ref(), *times))
            }
            None => copies.get(at)?.as_deref().cloned(),
        };
        part.filter_map(make).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::samples;

    fn made() -> Vec<SpanData> {
        (1..=3).map(|id| samples::span(1, id, 0, "work")).collect()
    }

    fn with_sources() -> Spans {
        Spans::to_be_taken(made())
    }

    fn place(spans: &[SpanData]) -> *const SpanData {
        spans.as_ptr()
    }

    #[test]
    fn the_last_taker_gets_the_original() {
        let mut first = with_sources();
        let mut last = first.clone();
        let original = place(first.get(0..3));
        assert_ne!(place(&first.take(0..3)), original, "the other still has it");
        assert_eq!(place(&last.take(0..3)), original);
    }

    #[test]
    fn what_was_taken_is_made_again() {
        let mut spans = with_sources();
        for _ in 0..3 {
            assert_eq!(spans.take(0..3), made());
        }
        assert_eq!(spans.take(1..2), made()[1..2]);
        assert!(spans.get(0..3).is_empty());
    }

    #[test]
    fn a_part_is_copied_and_the_rest_stays() {
        let mut spans = with_sources();
        let original = place(spans.get(0..3));
        assert_eq!(spans.take(0..1), made()[..1]);
        assert_eq!(place(&spans.take(0..3)), original);
    }

    #[test]
    fn without_what_it_was_made_of_the_original_stays() {
        let mut spans = Spans::new(made(), None);
        assert_eq!((spans.take(0..3), spans.take(0..3)), (made(), made()));
        assert_eq!(spans.get(0..3), made());
    }
}
