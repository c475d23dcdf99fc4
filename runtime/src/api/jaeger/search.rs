//! A search as both versions have it, and what it asks of the store.

use std::time::{Duration, SystemTime};

use opentelemetry::trace::SpanKind;

use crate::store::{self, Filter, KINDS, Outcome};

/// How many traces are told unless somebody says.
pub(super) const DEFAULT_TRACES: usize = 100;

/// Most traces of one answer, whatever is asked: what the user interface of Jaeger lets one ask for.
pub(super) const MOST_TRACES: usize = 1_500;

/// Which traces are looked for: all of it must hold for one and the same span.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Search {
    pub(super) filter: Filter,
    /// Nothing can match, as when a duration below zero is the longest.
    pub(super) is_impossible: bool,
    /// At most this many, the newest.
    pub(super) depth: usize,
}

impl Search {
    /// Spans that begin in this range, both ends included.
    pub(super) fn between(from: SystemTime, to: SystemTime) -> Self {
        let after = to.checked_add(Duration::from_nanos(1)).unwrap_or(to);
        Self { filter: Filter::new().span_range(from, after), is_impossible: false, depth: DEFAULT_TRACES }
    }

    /// Empty names mean all.
    pub(super) fn named(&mut self, service: Option<&str>, operation: Option<&str>) {
        self.filter.service = service.map(str::to_owned);
        self.filter.operation = operation.map(str::to_owned);
    }

    pub(super) fn lasting(&mut self, shortest_ns: Option<i64>, longest_ns: Option<i64>) {
        let duration = |ns: i64| u64::try_from(ns).ok().map(Duration::from_nanos);
        self.filter.min_duration = shortest_ns.and_then(duration);
        if let Some(ns) = longest_ns {
            self.filter.max_duration = duration(ns);
            self.is_impossible |= ns < 0;
        }
    }

    pub(super) fn limited(&mut self, depth: Option<usize>) {
        self.depth = depth.unwrap_or(DEFAULT_TRACES).min(MOST_TRACES);
    }

    /// An attribute, wherever it is. Names that stand for something else in what Jaeger shows mean that.
    pub(super) fn attribute(&mut self, key: String, value: String) {
        let filter = &mut self.filter;
        match (key.as_str(), value.as_str()) {
            ("error", "true") | ("otel.status_code", "ERROR") => self.status(2),
            ("otel.status_code", "OK") => self.status(1),
            ("error", "false") => match filter.outcome {
                None | Some(Outcome::Success) => filter.outcome = Some(Outcome::Success),
                Some(_) => self.is_impossible = true,
            },
            ("span.kind", word) if kind(word).is_some() => {
                let kind = kind(word);
                self.is_impossible |= filter.kind.is_some() && filter.kind != kind;
                filter.kind = kind;
            }
            _ => filter.attributes_anywhere.push((key, value)),
        }
    }

    /// By OTLP's number. Two different ones cannot both hold.
    pub(super) fn status(&mut self, number: i16) {
        self.is_impossible |= self.filter.status.is_some_and(|known| known != number);
        self.filter.status = Some(number);
    }
}

/// The kind that Jaeger's word means.
pub(super) fn kind(word: &str) -> Option<SpanKind> {
    KINDS.into_iter().find_map(|(known, kind)| (known == word).then_some(kind))
}

/// Jaeger's word for OTLP's number of a kind; empty when it is not told.
pub(super) fn kind_word(number: i16) -> &'static str {
    store::kind_word(number).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn search(attributes: &[(&str, &str)]) -> Search {
        let mut search = Search::between(UNIX_EPOCH, UNIX_EPOCH);
        for (key, value) in attributes {
            search.attribute((*key).to_owned(), (*value).to_owned());
        }
        search
    }

    #[test]
    fn names_of_what_is_shown_mean_what_they_show() {
        let found = search(&[("error", "true"), ("span.kind", "client"), ("otel.status_code", "ERROR")]);
        assert_eq!((found.filter.status, found.filter.kind), (Some(2), Some(SpanKind::Client)));
        assert!(found.filter.attributes_anywhere.is_empty() && !found.is_impossible);
        assert_eq!(search(&[("error", "false")]).filter.outcome, Some(Outcome::Success));
        let others = [("error", "timeout"), ("span.kind", "robot"), ("a", "true")];
        assert_eq!(search(&others).filter.attributes_anywhere.len(), 3);
    }

    #[test]
    fn depth_is_bounded_whatever_is_asked() {
        let mut search = search(&[]);
        for (asked, depth) in [(None, 100), (Some(7), 7), (Some(1_500), 1_500), (Some(usize::MAX), 1_500)] {
            search.limited(asked);
            assert_eq!(search.depth, depth);
        }
    }

    #[test]
    fn what_cannot_hold_together_is_impossible() {
        assert!(search(&[("span.kind", "client"), ("span.kind", "server")]).is_impossible);
        assert!(search(&[("otel.status_code", "OK"), ("error", "true")]).is_impossible);
        let mut search = search(&[]);
        search.lasting(Some(-5), None);
        assert!(!search.is_impossible && search.filter.min_duration.is_none());
        search.lasting(None, Some(-5));
        assert!(search.is_impossible);
    }
}
