//! A filter as a condition in Rust, for spans that are here already; it means what the queries mean.

use serde_json::Value as Json;

use super::filter::{Filter, Outcome};
use super::span::{StoredSpan, clean, kind_number, nanoseconds, time_ns};

impl Filter {
    /// Whether this span is meant; times are those of the span.
    ///
    /// ```
    /// # use throughline::store::{Filter, StoredSpan};
    /// # fn show(span: &StoredSpan) {
    /// let is_meant = Filter::new().service("shop").attribute("http.route", "/").matches(span);
    /// # }
    /// ```
    #[must_use]
    pub fn matches(&self, span: &StoredSpan) -> bool {
        let is =
            |wanted: &Option<String>, text: &str| wanted.as_ref().is_none_or(|wanted| clean(wanted) == text);
        let has_ids = self.ids.iter().zip(&span.ids).all(|(wanted, id)| {
            wanted.as_ref().is_none_or(|wanted| id.as_deref() == Some(clean(wanted).as_str()))
        });
        has_ids
            && self.trace_id.is_none_or(|id| id == span.trace_id)
            && is(&self.service, &span.service_name)
            && is(&self.operation, &span.operation_name)
            && self
                .operation_contains
                .as_ref()
                .is_none_or(|part| span.operation_name.to_lowercase().contains(&clean(part).to_lowercase()))
            && self.outcome.is_none_or(|outcome| outcome == ended(span))
            && self.kind.as_ref().is_none_or(|kind| kind_number(kind) == span.kind)
            && self.min_duration.is_none_or(|least| span.duration_ns >= nanoseconds(least))
            && self.max_duration.is_none_or(|most| span.duration_ns <= nanoseconds(most))
            && self.from.is_none_or(|from| span.start_ns >= time_ns(from))
            && self.to.is_none_or(|to| span.start_ns < time_ns(to))
            && self.status.is_none_or(|status| status == span.status)
            && self.span_range.is_none_or(|(from, to)| (time_ns(from)..time_ns(to)).contains(&span.start_ns))
            && self.has_attributes(span)
            && self.has_attributes_anywhere(span)
    }

    fn has_attributes(&self, span: &StoredSpan) -> bool {
        if self.attributes.is_empty() {
            return true;
        }
        let attributes = Json::Object(span.attributes());
        self.attributes.iter().all(|(key, value)| has(&attributes, key, value))
    }

    fn has_attributes_anywhere(&self, span: &StoredSpan) -> bool {
        if self.attributes_anywhere.is_empty() {
            return true;
        }
        let parsed = |json: &str| serde_json::from_str::<Json>(json).unwrap_or_default();
        let attributes = Json::Object(span.attributes());
        let events = parsed(&span.events_json);
        let (resource, scope) = (parsed(&span.resource.resource_json), parsed(&span.resource.scope_json));
        self.attributes_anywhere.iter().all(|(key, value)| {
            let of_scope = match key.as_str() {
                "otel.scope.name" => scope.get("name"),
                "otel.scope.version" => scope.get("version"),
                _ => None,
            };
            let events = events.as_array().map_or(&[][..], Vec::as_slice);
            has(&attributes, key, value)
                || events.iter().any(|event| has(&event["attributes"], key, value))
                || has(&resource, key, value)
                || has(&scope["attributes"], key, value)
                || of_scope.and_then(Json::as_str).is_some_and(|text| text == clean(value))
        })
    }
}

/// Whether an object has the member.
fn has(object: &Json, key: &str, value: &str) -> bool {
    object.get(clean(key)).is_some_and(|found| is_spelt(found, &clean(value)))
}

fn ended(span: &StoredSpan) -> Outcome {
    match span.outcome() {
        "success" => Outcome::Success,
        "timeout" => Outcome::Timeout,
        _ => Outcome::Error,
    }
}

/// Whether a value is this text, or the number or boolean that it spells.
fn is_spelt(value: &Json, text: &str) -> bool {
    match value {
        Json::String(value) => value == text,
        Json::Bool(value) => text == if *value { "true" } else { "false" },
        Json::Number(value) => match serde_json::from_str::<Json>(text) {
            Ok(Json::Number(wanted)) => match (value.as_i64(), wanted.as_i64()) {
                (Some(value), Some(wanted)) => value == wanted,
                _ => value.as_f64() == wanted.as_f64(),
            },
            _ => false,
        },
        _ => false,
    }
}
