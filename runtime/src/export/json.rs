//! One span as the JSON object that the console's lines, the store and the REST API share.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{SpanId, SpanKind, Status};
use opentelemetry::{Array, KeyValue, Value};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanData;
use serde::Serialize;
use serde_json::{Map, Value as Json, json};

/// Longest value that is lifted out of the attributes as an id, in bytes.
const LONGEST_ID: usize = 255;

/// A span with the field names of the REST API.
#[derive(Debug, Serialize)]
pub(crate) struct SpanObject {
    id: String,
    trace_id: String,
    span_id: String,
    parent_span_id: Option<String>,
    task_id: Option<String>,
    plan_id: Option<String>,
    agent_id: Option<String>,
    tool_id: Option<String>,
    operation_name: String,
    service_name: String,
    kind: &'static str,
    start_time: String,
    end_time: String,
    duration_ms: f64,
    /// Decimal strings: readers in JavaScript would round the numbers.
    start_ns: String,
    duration_ns: String,
    status: &'static str,
    status_code: &'static str,
    error_message: Option<String>,
    error_type: Option<String>,
    attributes: Map<String, Json>,
    events: Vec<Json>,
    links: Vec<Json>,
    resource: Json,
}

/// The resource's attributes, made once per exporter.
#[derive(Clone, Debug, Default)]
pub(crate) struct ResourceObject {
    attributes: Json,
    service_name: String,
}

impl ResourceObject {
    pub(crate) fn new(resource: &Resource) -> Self {
        let attributes: Map<_, _> =
            resource.iter().map(|(key, item)| (key.as_str().to_owned(), value(item))).collect();
        let service_name = resource
            .get_ref(&opentelemetry::Key::from_static_str("service.name"))
            .map(|name| name.as_str().into_owned())
            .unwrap_or_default();
        Self { attributes: Json::Object(attributes), service_name }
    }

    pub(crate) fn service_name(&self) -> &str {
        &self.service_name
    }
}

impl SpanObject {
    pub(crate) fn new(span: &SpanData, resource: &ResourceObject) -> Self {
        let trace_id = span.span_context.trace_id().to_string();
        let span_id = span.span_context.span_id().to_string();
        let duration = span.end_time.duration_since(span.start_time).unwrap_or_default();
        let (status_code, message) = match &span.status {
            Status::Unset => ("UNSET", None),
            Status::Ok => ("OK", None),
            Status::Error { description } => ("ERROR", Some(description.clone().into_owned())),
        };
        let error_type = text(&span.attributes, "error.type").or_else(|| exception_type(span));
        Self {
            id: format!("{trace_id}-{span_id}"),
            parent_span_id: (span.parent_span_id != SpanId::INVALID).then(|| span.parent_span_id.to_string()),
            task_id: lifted(span, &["task_id", "task.id"]),
            plan_id: lifted(span, &["plan_id", "plan.id"]),
            agent_id: lifted(span, &["agent_id", "gen_ai.agent.id"]),
            tool_id: lifted(span, &["tool_id", "gen_ai.tool.name"]),
            operation_name: span.name.clone().into_owned(),
            service_name: resource.service_name.clone(),
            kind: kind(&span.span_kind),
            start_time: rfc3339(span.start_time),
            end_time: rfc3339(span.end_time),
            duration_ms: duration.as_secs_f64() * 1e3,
            start_ns: since_epoch(span.start_time).as_nanos().to_string(),
            duration_ns: duration.as_nanos().to_string(),
            status: status(&span.status, error_type.as_deref()),
            status_code,
            error_message: message.filter(|message| !message.is_empty()),
            error_type,
            attributes: object(&span.attributes),
            events: span
                .events
                .iter()
                .map(|event| {
                    json!({
                        "name": event.name,
                        "time": rfc3339(event.timestamp),
                        "attributes": object(&event.attributes),
                    })
                })
                .collect(),
            links: span
                .links
                .iter()
                .map(|link| {
                    json!({
                        "trace_id": link.span_context.trace_id().to_string(),
                        "span_id": link.span_context.span_id().to_string(),
                        "attributes": object(&link.attributes),
                    })
                })
                .collect(),
            resource: resource.attributes.clone(),
            trace_id,
            span_id,
        }
    }
}

fn kind(kind: &SpanKind) -> &'static str {
    match kind {
        SpanKind::Internal => "internal",
        SpanKind::Server => "server",
        SpanKind::Client => "client",
        SpanKind::Producer => "producer",
        SpanKind::Consumer => "consumer",
    }
}

/// `success`, `timeout` or `error`.
fn status(status: &Status, error_type: Option<&str>) -> &'static str {
    match (status, error_type) {
        (Status::Error { .. }, Some(kind))
            if ["timeout", "deadline_exceeded"].iter().any(|word| kind.eq_ignore_ascii_case(word)) =>
        {
            "timeout"
        }
        (Status::Error { .. }, _) => "error",
        _ => "success",
    }
}

fn exception_type(span: &SpanData) -> Option<String> {
    span.events
        .iter()
        .rev()
        .find(|event| event.name == "exception")
        .and_then(|event| text(&event.attributes, "exception.type"))
}

fn lifted(span: &SpanData, keys: &[&str]) -> Option<String> {
    keys.iter().find_map(|key| text(&span.attributes, key)).filter(|id| id.len() <= LONGEST_ID)
}

fn text(attributes: &[KeyValue], key: &str) -> Option<String> {
    attributes.iter().find(|a| a.key.as_str() == key).map(|attribute| attribute.value.as_str().into_owned())
}

fn object(attributes: &[KeyValue]) -> Map<String, Json> {
    attributes.iter().map(|a| (a.key.as_str().to_owned(), value(&a.value))).collect()
}

/// Types are kept; a double that JSON cannot hold becomes `{"$double": ".."}`.
fn value(value: &Value) -> Json {
    match value {
        Value::Bool(value) => Json::from(*value),
        Value::I64(value) => Json::from(*value),
        Value::F64(value) => double(*value),
        Value::String(value) => Json::from(value.as_str()),
        Value::Array(Array::Bool(items)) => items.iter().copied().map(Json::from).collect(),
        Value::Array(Array::I64(items)) => items.iter().copied().map(Json::from).collect(),
        Value::Array(Array::F64(items)) => items.iter().copied().map(double).collect(),
        Value::Array(Array::String(items)) => items.iter().map(|item| Json::from(item.as_str())).collect(),
        other => Json::from(other.as_str()),
    }
}

fn double(value: f64) -> Json {
    if value.is_finite() { Json::from(value) } else { json!({ "$double": value.to_string() }) }
}

fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// RFC 3339 in UTC, to the microsecond.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    let since = since_epoch(time);
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = civil(days);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:06}Z",
        second / 3600,
        second / 60 % 60,
        second % 60,
        since.subsec_micros()
    )
}

/// Year, month and day of a day since 1970-01-01, in the Gregorian calendar
/// (<https://howardhinnant.github.io/date_algorithms.html#civil_from_days>).
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339_in_utc() {
        let at = |seconds| rfc3339(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(at(951_827_696), "2000-02-29T12:34:56.000000Z");
        assert_eq!(at(1_785_542_399), "2026-07-31T23:59:59.000000Z");
        assert_eq!(at(4_107_542_400), "2100-03-01T00:00:00.000000Z");
        assert_eq!(rfc3339(UNIX_EPOCH + Duration::from_nanos(1_500)), "1970-01-01T00:00:00.000001Z");
    }

    #[test]
    fn doubles_stay_doubles_and_may_be_no_number() {
        assert_eq!(value(&Value::F64(2.0)).to_string(), "2.0");
        assert_eq!(value(&Value::I64(2)).to_string(), "2");
        assert_eq!(value(&Value::F64(f64::NAN)).to_string(), r#"{"$double":"NaN"}"#);
        assert_eq!(value(&Value::F64(f64::NEG_INFINITY)).to_string(), r#"{"$double":"-inf"}"#);
    }

    #[test]
    fn deadline_errors_count_as_timeout() {
        let error = Status::error("late");
        assert_eq!(status(&error, Some("DEADLINE_EXCEEDED")), "timeout");
        assert_eq!(status(&error, Some("timeout")), "timeout");
        assert_eq!(status(&error, Some("io")), "error");
        assert_eq!(status(&Status::Unset, Some("timeout")), "success");
    }
}
