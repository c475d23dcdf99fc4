//! A trace as this version tells it. Times and durations are microseconds.

use std::collections::{BTreeMap, HashMap};

use opentelemetry::trace::{SpanId, TraceId};
use serde::Serialize;
use serde_json::{Map, Value as Json};

use super::value::{Field, fields};
use crate::api::jaeger::search::kind_word;
use crate::api::jaeger::{ids, traces, warnings};
use crate::store::StoredSpan;

/// A trace.
#[derive(Debug, Serialize)]
pub(super) struct Trace {
    #[serde(rename = "traceID")]
    trace_id: String,
    spans: Vec<Span>,
    processes: BTreeMap<String, Process>,
    warnings: Option<Vec<String>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Span {
    #[serde(rename = "traceID")]
    trace_id: String,
    #[serde(rename = "spanID")]
    span_id: String,
    operation_name: String,
    references: Vec<Reference>,
    start_time: i64,
    duration: i64,
    tags: Vec<Field>,
    logs: Vec<Log>,
    #[serde(rename = "processID")]
    process_id: String,
    warnings: Option<Vec<String>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Process {
    service_name: String,
    tags: Vec<Field>,
}

#[derive(Debug, Serialize)]
struct Log {
    timestamp: i64,
    fields: Vec<Field>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Reference {
    ref_type: &'static str,
    #[serde(rename = "traceID", serialize_with = "short")]
    trace_id: TraceId,
    #[serde(rename = "spanID", serialize_with = "hex")]
    span_id: SpanId,
}

fn short<S: serde::Serializer>(id: &TraceId, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_str(&ids::short(*id))
}

fn hex<S: serde::Serializer>(id: &SpanId, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_str(&id.to_string())
}

impl Trace {
    /// Raw, it comes without warnings and with its references as they were sent.
    pub(super) fn new(trace: &traces::Trace, is_raw: bool) -> Self {
        let mut processes = Processes::default();
        let mut warned = if is_raw { Vec::new() } else { warnings::of_spans(trace) }.into_iter();
        let mut spans = Vec::with_capacity(trace.spans.len());
        for span in &trace.spans {
            let mut told = Span::new(span, processes.id_of(span));
            if !is_raw {
                let mut warnings = warned.next().unwrap_or_default();
                warnings.extend(tidy(&mut told.references, span.trace_id));
                told.warnings = Some(warnings).filter(|warnings| !warnings.is_empty());
            }
            spans.push(told);
        }
        let warnings = warnings::of_trace(trace).map(|warning| vec![warning]);
        Self { trace_id: ids::short(trace.id), spans, processes: processes.told, warnings }
    }
}

/// Resources by their text, in the order in which they come.
#[derive(Debug, Default)]
struct Processes<'t> {
    ids: HashMap<(&'t str, &'t str), String>,
    told: BTreeMap<String, Process>,
}

impl<'t> Processes<'t> {
    fn id_of(&mut self, span: &'t StoredSpan) -> String {
        let next = format!("p{}", self.ids.len() + 1);
        let key = (span.resource.resource_json.as_str(), span.service_name.as_str());
        let told = &mut self.told;
        let id = self.ids.entry(key).or_insert_with(|| {
            let mut attributes: Map<String, Json> = serde_json::from_str(key.0).unwrap_or_default();
            attributes.remove("service.name");
            let process =
                Process { service_name: span.service_name.clone(), tags: fields(attributes).collect() };
            told.insert(next.clone(), process);
            next
        });
        id.clone()
    }
}

impl Span {
    fn new(span: &StoredSpan, process_id: String) -> Self {
        Self {
            trace_id: ids::short(span.trace_id),
            span_id: span.span_id.to_string(),
            operation_name: span.operation_name.clone(),
            references: references(span),
            start_time: span.start_ns / 1_000,
            duration: span.duration_ns / 1_000,
            tags: attributes(span),
            logs: logs(span),
            process_id,
            warnings: None,
        }
    }
}

/// The scope, the span's own attributes, and what OpenTelemetry has fields for and Jaeger has not.
fn attributes(span: &StoredSpan) -> Vec<Field> {
    let scope: Map<String, Json> = serde_json::from_str(&span.resource.scope_json).unwrap_or_default();
    let of_scope = [("otel.scope.name", "name"), ("otel.scope.version", "version")];
    let mut told: Vec<Field> = of_scope
        .iter()
        .filter_map(|(key, member)| Some((*key, scope.get(*member)?.as_str()?)))
        .filter(|(_, text)| !text.is_empty())
        .map(|(key, text)| Field::string(key, text))
        .collect();
    told.extend(fields(span.attributes()));
    let kind = kind_word(span.kind);
    if !kind.is_empty() {
        told.push(Field::string("span.kind", kind));
    }
    match span.status {
        1 => told.push(Field::string("otel.status_code", "OK")),
        2 => {
            told.push(Field::string("otel.status_code", "ERROR"));
            told.push(Field::flag("error", true));
        }
        _ => {}
    }
    if let Some(description) = &span.error_message {
        told.push(Field::string("otel.status_description", description));
    }
    if let Some(state) = &span.trace_state {
        told.push(Field::string("w3c.tracestate", state));
    }
    told
}

fn logs(span: &StoredSpan) -> Vec<Log> {
    let events: Vec<Map<String, Json>> = serde_json::from_str(&span.events_json).unwrap_or_default();
    let log = |mut event: Map<String, Json>| {
        let attributes = match event.remove("attributes") {
            Some(Json::Object(attributes)) => attributes,
            _ => Map::new(),
        };
        let name = event.get("name").and_then(Json::as_str).unwrap_or_default();
        let mut told = Vec::with_capacity(attributes.len() + 1);
        // An attribute of that name says more than the event's own.
        if !name.is_empty() && !attributes.contains_key("event") {
            told.push(Field::string("event", name));
        }
        told.extend(fields(attributes));
        let time_ns = event.get("time_ns").and_then(Json::as_i64).unwrap_or(0);
        Log { timestamp: time_ns / 1_000, fields: told }
    };
    events.into_iter().map(log).collect()
}

/// The parent, then the links. A link to the parent only changes the parent's type.
fn references(span: &StoredSpan) -> Vec<Reference> {
    let mut references = Vec::new();
    if !span.is_root() {
        let (trace_id, span_id) = (span.trace_id, span.parent_span_id);
        references.push(Reference { ref_type: "CHILD_OF", trace_id, span_id });
    }
    let links: Vec<Map<String, Json>> = serde_json::from_str(&span.links_json).unwrap_or_default();
    for link in &links {
        let text = |key| link.get(key).and_then(Json::as_str).unwrap_or_default();
        let trace_id = TraceId::from_hex(text("trace_id")).unwrap_or(TraceId::INVALID);
        let span_id = SpanId::from_hex(text("span_id")).unwrap_or(SpanId::INVALID);
        // OpenTelemetry's convention for links that came from OpenTracing.
        let ref_type = match link.get("attributes").and_then(|all| all.get("opentracing.ref_type")) {
            Some(Json::String(kind)) if kind == "child_of" => "CHILD_OF",
            _ => "FOLLOWS_FROM",
        };
        match references.first_mut() {
            Some(parent)
                if !span.is_root() && (trace_id, span_id) == (span.trace_id, span.parent_span_id) =>
            {
                parent.ref_type = ref_type;
            }
            _ => references.push(Reference { ref_type, trace_id, span_id }),
        }
    }
    references
}

/// Clients take the first reference for the parent, and follow all of them.
fn tidy(references: &mut Vec<Reference>, trace_id: TraceId) -> Option<String> {
    let sent = references.len();
    references.retain(|reference| reference.trace_id != TraceId::INVALID);
    let warning = warnings::of_links(sent - references.len());
    let within = |reference: &Reference| reference.trace_id == trace_id;
    let parent = references
        .iter()
        .position(|reference| within(reference) && reference.ref_type == "CHILD_OF")
        .or_else(|| references.iter().position(within));
    if let Some(parent) = parent {
        references.swap(0, parent);
    }
    warning
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{Link, SpanContext, TraceFlags, TraceState};
    use opentelemetry_sdk::Resource;
    use serde_json::json;

    use super::*;
    use crate::store::{Converter, Lift};
    use crate::testing::samples;

    fn link(trace: u128, span: u64) -> Link {
        let (trace, span) = (TraceId::from(trace), SpanId::from(span));
        Link::with_context(SpanContext::new(trace, span, TraceFlags::SAMPLED, true, TraceState::NONE))
    }

    fn told(parent: u64, links: Vec<Link>, is_raw: bool) -> Json {
        let mut span = samples::span(1, 2, parent, "a");
        span.links.links = links;
        let resource = Resource::builder_empty().with_service_name("shop").build();
        let span = Converter::new(&resource, Lift::default()).convert(&span);
        let trace = traces::Trace { id: span.trace_id, spans: vec![span], is_cut: false };
        json!(Trace::new(&trace, is_raw))["spans"][0].clone()
    }

    fn spans_of(references: &Json) -> Vec<&str> {
        let references = references.as_array().unwrap().iter();
        references.map(|reference| reference["spanID"].as_str().unwrap()).collect()
    }

    #[test]
    fn links_that_lead_nowhere_are_left_out_and_told() {
        let links = || vec![link(0, 7), link(9, 8)];
        let span = told(0, links(), false);
        assert_eq!(spans_of(&span["references"]), ["0000000000000008"]);
        assert_eq!(span["warnings"].as_array().unwrap().len(), 1, "{span}");
        let raw = told(0, links(), true);
        assert_eq!((spans_of(&raw["references"]).len(), &raw["warnings"]), (2, &Json::Null));
    }

    #[test]
    fn parent_leads_the_references_whatever_the_links_say() {
        let span = told(5, vec![link(9, 8), link(1, 5), link(1, 6)], true);
        assert_eq!(
            spans_of(&span["references"]),
            ["0000000000000005", "0000000000000008", "0000000000000006"]
        );
        assert_eq!(span["references"][0]["refType"], "FOLLOWS_FROM", "a link to the parent tells its type");
        let span = told(0, vec![link(9, 8), link(1, 6)], false);
        assert_eq!(
            spans_of(&span["references"]),
            ["0000000000000006", "0000000000000008"],
            "the one of its own trace"
        );
    }
}
