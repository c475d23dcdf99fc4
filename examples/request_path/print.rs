//! Traces on standard output.

use std::io::IsTerminal;
use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry::Value;
use opentelemetry::trace::{SpanId, Status};
use serde_json::{Map, json};
use throughline::export::console::{Tree, TreeSpan};
use throughline_examples::say;

/// One tree per request.
pub(crate) fn trees(traces: &[Vec<TreeSpan>]) {
    let colour =
        std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
    let tree = Tree::new().colour(colour);
    for spans in traces {
        say(tree.render(spans));
    }
}

/// One JSON object per span and line.
pub(crate) fn json(traces: &[Vec<TreeSpan>]) {
    let nanos = |time: SystemTime| time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    for span in traces.iter().flatten() {
        let attributes: Map<_, _> =
            span.attributes.iter().map(|kv| (kv.key.to_string(), attribute(&kv.value))).collect();
        let error = match &span.status {
            Status::Error { description } => json!(description),
            _ => json!(null),
        };
        let parent = (span.parent_span_id != SpanId::INVALID).then(|| span.parent_span_id.to_string());
        let line = json!({
            "trace_id": span.trace_id.to_string(),
            "span_id": span.span_id.to_string(),
            "parent_span_id": parent,
            "service": span.service,
            "name": span.name,
            "kind": format!("{:?}", span.kind).to_lowercase(),
            "start_unix_nano": nanos(span.start_time).to_string(),
            "end_unix_nano": nanos(span.end_time).to_string(),
            "error": error,
            "attributes": attributes,
        });
        say(line);
    }
}

fn attribute(value: &Value) -> serde_json::Value {
    match value {
        Value::Bool(flag) => json!(flag),
        Value::I64(number) => json!(number),
        Value::F64(number) => json!(number),
        other => json!(other.as_str()),
    }
}
