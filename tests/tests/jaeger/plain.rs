//! Answers without what clients do not look at: order, and how a number or a message is written.

use serde_json::{Map, Value, json};

/// Either version's answer.
pub(crate) fn plain(body: &Value) -> Value {
    if body.get("error").is_some() || body.get("result").is_some() {
        return version_3(body);
    }
    let mut body = body.clone();
    if let Some(errors) = body.get_mut("errors").and_then(Value::as_array_mut) {
        for error in errors {
            // Each says it in its own words.
            replace(error, "msg", |message| json!(!message.as_str().unwrap_or_default().is_empty()));
        }
    }
    if let Some(data) = body.get_mut("data").and_then(Value::as_array_mut) {
        for item in data.iter_mut().filter(|item| item.get("spans").is_some()) {
            *item = trace(item);
        }
    }
    sorted(&mut body, &["data", "operations", "services", "errors"]);
    body
}

fn replace(object: &mut Value, key: &str, with: impl Fn(&Value) -> Value) {
    if let Some(value) = object.get_mut(key) {
        *value = with(value);
    }
}

fn sorted(object: &mut Value, keys: &[&str]) {
    for key in keys {
        if let Some(items) = object.get_mut(*key).and_then(Value::as_array_mut) {
            items.sort_by_key(Value::to_string);
        }
    }
}

/// A trace of version 1: each span has its process in place of the process's id.
fn trace(trace: &Value) -> Value {
    let mut trace = trace.clone();
    let processes = trace["processes"].clone();
    let spans = trace["spans"].as_array_mut().unwrap();
    for span in spans.iter_mut() {
        let mut process = processes[span["processID"].as_str().unwrap()].clone();
        assert!(process.is_object(), "its process is among those of the trace: {span}");
        fields(&mut process["tags"]);
        let span = span.as_object_mut().unwrap();
        span.insert("processID".to_owned(), process);
        fields(&mut span["tags"]);
        for log in span["logs"].as_array_mut().unwrap() {
            fields(&mut log["fields"]);
        }
        // With each answer of version 3 Jaeger's memory storage adds the same warning once more.
        let is_warned = span["warnings"].as_array().is_some_and(|warnings| !warnings.is_empty());
        span.insert("warnings".to_owned(), is_warned.into());
    }
    trace.as_object_mut().unwrap().remove("processes");
    for span in trace["spans"].as_array_mut().unwrap() {
        sorted(span, &["logs"]);
        // The first reference is the parent's; the others have no order.
        let references = span["references"].as_array_mut().unwrap();
        if let Some((_, others)) = references.split_first_mut() {
            others.sort_by_key(Value::to_string);
        }
    }
    sorted(&mut trace, &["spans"]);
    trace
}

fn fields(fields: &mut Value) {
    for field in fields.as_array_mut().unwrap() {
        let kind = field["type"].as_str().unwrap().to_owned();
        replace(field, "value", |value| match value {
            // `2` and `2.0`, `1e300` and `1e+300` are the same number.
            Value::Number(number) if kind == "float64" => json!(number.as_f64().unwrap()),
            // Lists and maps are JSON within a string; how it is escaped does not matter.
            Value::String(text) if text.starts_with(['[', '{']) => {
                serde_json::from_str(text).map_or_else(|_| value.clone(), |inner| numbers(&inner))
            }
            other => other.clone(),
        });
    }
    fields.as_array_mut().unwrap().sort_by_key(Value::to_string);
}

/// All numbers as doubles.
fn numbers(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64().unwrap()),
        Value::Array(items) => items.iter().map(numbers).collect(),
        Value::Object(members) => members.iter().map(|(key, value)| (key.clone(), numbers(value))).collect(),
        other => other.clone(),
    }
}

/// Errors, or a list of spans, each with its resource and its scope.
fn version_3(body: &Value) -> Value {
    if let Some(error) = body.get("error") {
        assert!(!error["message"].as_str().unwrap_or_default().is_empty(), "{body}");
        return json!({ "error": { "httpCode": error["httpCode"] } });
    }
    let mut spans = Vec::new();
    let list = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    for group in list(&body["result"], "resourceSpans") {
        for scope in list(&group, "scopeSpans") {
            for mut span in list(&scope, "spans") {
                sorted(&mut span, &["events"]);
                spans.push(json!({
                    "resource": canonical(&group["resource"]),
                    "scope": canonical(&scope["scope"]),
                    "span": canonical(&span),
                }));
            }
        }
    }
    spans.sort_by_key(Value::to_string);
    json!({ "result": spans })
}

/// Attributes as an object; numbers as doubles; warnings as whether there are any; what is empty or zero left out, as protobuf's
/// JSON may.
fn canonical(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let members = members.iter().map(|(key, value)| match key.as_str() {
                "attributes" => (key.clone(), attributes(value)),
                _ => (key.clone(), canonical(value)),
            });
            Value::Object(members.filter(|(_, value)| !is_default(value)).collect())
        }
        Value::Array(items) => items.iter().map(canonical).collect(),
        Value::Number(number) => json!(number.as_f64().unwrap()),
        other => other.clone(),
    }
}

fn is_default(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty() || text == "0",
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(_) => false,
    }
}

fn attributes(list: &Value) -> Value {
    let mut attributes = Map::new();
    for pair in list.as_array().unwrap() {
        let key = pair["key"].as_str().unwrap();
        let value = match key {
            "@jaeger@warnings" => {
                json!(!pair["value"]["arrayValue"]["values"].as_array().unwrap().is_empty())
            }
            _ => value(&pair["value"]),
        };
        assert!(attributes.insert(key.to_owned(), value).is_none(), "{key} is there twice");
    }
    Value::Object(attributes)
}

/// With its type, of which nothing is left out but the `values` of an empty list.
fn value(any: &Value) -> Value {
    match any {
        Value::Object(members) => {
            let members = members.iter().map(|(key, inner)| (key.clone(), value(inner)));
            Value::Object(members.filter(|(key, inner)| key != "values" || *inner != json!([])).collect())
        }
        Value::Array(items) => items.iter().map(value).collect(),
        Value::Number(number) => json!(number.as_f64().unwrap()),
        other => other.clone(),
    }
}

/// Where two values begin to differ, with what is there; for people.
pub(crate) fn first_difference(theirs: &Value, ours: &Value) -> String {
    fn find(at: &str, theirs: &Value, ours: &Value) -> Option<String> {
        match (theirs, ours) {
            (Value::Object(a), Value::Object(b)) => {
                let keys: std::collections::BTreeSet<_> = a.keys().chain(b.keys()).collect();
                let null = Value::Null;
                keys.into_iter().find_map(|key| {
                    let (a, b) = (a.get(key).unwrap_or(&null), b.get(key).unwrap_or(&null));
                    find(&format!("{at}/{key}"), a, b)
                })
            }
            (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
                a.iter().zip(b).enumerate().find_map(|(index, (a, b))| find(&format!("{at}/{index}"), a, b))
            }
            (a, b) => (a != b).then(|| format!("{at}\n    Jaeger {a}\n    ours   {b}")),
        }
    }
    find("", theirs, ours).unwrap_or_default()
}
