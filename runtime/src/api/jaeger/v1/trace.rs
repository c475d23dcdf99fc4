//! A trace as this version tells it. Times and durations are microseconds.

use std::collections::{BTreeMap, HashMap, HashSet};

use opentelemetry::trace::{SpanId, TraceId};
use serde::Serialize;
use serde_json::{Map, Value as Json};

use super::value::{Field, fields};
use crate::api::jaeger::search::kind_word;
use crate::api::jaeger::{ids, traces};
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
        let known: HashSet<SpanId> = trace.spans.iter().map(|span| span.span_id).collect();
        let mut seen: HashSet<SpanId> = HashSet::with_capacity(trace.spans.len());
        let mut spans = Vec::with_capacity(trace.spans.len());
        for span in &trace.spans {
            let mut told = Span::new(span, processes.id_of(span));
            if !is_raw {
                let mut warnings = Vec::new();
                tidy(&mut told.references, span.trace_id, &mut warnings);
                if !seen.insert(span.span_id) {
                    warnings.push("another span of this trace has the same id".to_owned());
                }
                if !span.is_root() && !trace.is_cut && !known.contains(&span.parent_span_id) {
                    warnings.push(format!("its parent {} is not stored", span.parent_span_id));
                }
                told.warnings = Some(warnings).filter(|warnings| !warnings.is_empty());
            }
            spans.push(told);
        }
        let cut = trace.is_cut.then(|| {
            vec![format!(
                "only the first {} spans of the trace are shown: an answer holds no more",
                spans.len()
            )]
        });
        Self { trace_id: ids::short(trace.id), spans, processes: processes.told, warnings: cut }
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
fn tidy(references: &mut Vec<Reference>, trace_id: TraceId, warnings: &mut Vec<String>) {
    let sent = references.len();
    references.retain(|reference| reference.trace_id != TraceId::INVALID);
    let lost = sent - references.len();
    if lost > 0 {
        warnings.push(format!("{lost} of its references name no trace and are left out"));
    }
    let within = |reference: &Reference| reference.trace_id == trace_id;
    let parent = references
        .iter()
        .position(|reference| within(reference) && reference.ref_type == "CHILD_OF")
        .or_else(|| references.iter().position(within));
    if let Some(parent) = parent {
        references.swap(0, parent);
    }
}
