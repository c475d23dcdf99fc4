//! Attributes with the types that this version knows: `string bool int64 float64 binary`. Anything else is text.

use serde::Serialize;
use serde_json::{Map, Value as Json};

/// Beyond this a number of a browser's is not exact any more.
const LARGEST_EXACT: u64 = (1 << 53) - 1;

/// A key with its value.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Field {
    key: String,
    #[serde(rename = "type")]
    kind: &'static str,
    value: Json,
}

impl Field {
    pub(super) fn string(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self { key: key.into(), kind: "string", value: Json::String(value.into()) }
    }

    pub(super) fn flag(key: impl Into<String>, value: bool) -> Self {
        Self { key: key.into(), kind: "bool", value: Json::Bool(value) }
    }

    fn new(key: String, value: Json) -> Self {
        let (kind, value) = typed(value);
        Self { key, kind, value }
    }
}

/// The attributes of an object as the store keeps it.
pub(super) fn fields(attributes: Map<String, Json>) -> impl Iterator<Item = Field> {
    attributes.into_iter().map(|(key, value)| Field::new(key, value))
}

fn typed(value: Json) -> (&'static str, Json) {
    match value {
        Json::Bool(_) => ("bool", value),
        Json::String(_) => ("string", value),
        Json::Number(ref number) if number.is_i64() || number.is_u64() => {
            let magnitude = number.as_i64().map_or(u64::MAX, i64::unsigned_abs);
            ("int64", if magnitude > LARGEST_EXACT { number.to_string().into() } else { value })
        }
        Json::Number(_) => ("float64", value),
        Json::Object(object) => match special(&object) {
            Some(Special::Double(number)) => {
                // What JSON has no number for is told as text.
                let finite = serde_json::Number::from_f64(number).map(Json::Number);
                ("float64", finite.unwrap_or_else(|| number.to_string().into()))
            }
            Some(Special::Bytes(base64)) => ("binary", base64.into()),
            None => ("string", text(&Json::Object(object)).into()),
        },
        Json::Null => ("string", "".into()),
        array @ Json::Array(_) => ("string", text(&array).into()),
    }
}

enum Special<'a> {
    Double(f64),
    Bytes(&'a str),
}

/// What JSON has no value for: the store writes it as an object with one key.
fn special(object: &Map<String, Json>) -> Option<Special<'_>> {
    let (1, Some((key, Json::String(text)))) = (object.len(), object.iter().next()) else { return None };
    match key.as_str() {
        "$double" => text.parse().ok().map(Special::Double),
        "$bytes" => Some(Special::Bytes(text)),
        _ => None,
    }
}

/// Arrays and maps as JSON.
fn text(value: &Json) -> String {
    plain(value).to_string()
}

fn plain(value: &Json) -> Json {
    match value {
        Json::Array(items) => items.iter().map(plain).collect(),
        Json::Object(object) => match special(object) {
            Some(Special::Double(number)) => {
                serde_json::Number::from_f64(number).map_or_else(|| number.to_string().into(), Json::Number)
            }
            Some(Special::Bytes(base64)) => base64.into(),
            None => Json::Object(object.iter().map(|(key, value)| (key.clone(), plain(value))).collect()),
        },
        // As Go writes it: a whole double has no point.
        Json::Number(number) if number.is_f64() => match number.as_f64() {
            Some(double) if double.fract() == 0.0 && double.abs() < 1e15 => whole(double),
            _ => value.clone(),
        },
        other => other.clone(),
    }
}

#[allow(clippy::cast_possible_truncation)] // below 1e15, and without a fraction
fn whole(double: f64) -> Json {
    Json::from(double as i64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_type_has_its_name() {
        for (stored, kind, value) in [
            (json!("x"), "string", json!("x")),
            (json!(true), "bool", json!(true)),
            (json!(7), "int64", json!(7)),
            (json!(-9_007_199_254_740_991_i64), "int64", json!(-9_007_199_254_740_991_i64)),
            (json!(9_007_199_254_740_992_i64), "int64", json!("9007199254740992")),
            (json!(i64::MIN), "int64", json!("-9223372036854775808")),
            (json!(2.0), "float64", json!(2.0)),
            (json!({"$double": "1e300"}), "float64", json!(1e300)),
            (json!({"$double": "NaN"}), "float64", json!("NaN")),
            (json!({"$bytes": "Zm9v"}), "binary", json!("Zm9v")),
            (json!(["a", 1, 2.5]), "string", json!(r#"["a",1,2.5]"#)),
            (json!([2.0, {"$bytes": "Zg=="}, {"$double": "-inf"}]), "string", json!(r#"[2,"Zg==","-inf"]"#)),
            (json!({"b": {"c": [null]}, "a": false}), "string", json!(r#"{"a":false,"b":{"c":[null]}}"#)),
            (json!({"$double": 1}), "string", json!(r#"{"$double":1}"#)),
            (json!(null), "string", json!("")),
        ] {
            assert_eq!(typed(stored.clone()), (kind, value), "{stored}");
        }
    }
}
