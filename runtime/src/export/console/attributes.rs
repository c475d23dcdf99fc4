//! Which attributes of a span are worth a place in its line.

use opentelemetry::{KeyValue, Value};

use super::text;

/// The most attributes in a line.
const MOST: usize = 5;
/// The most characters of one value.
const VALUE_LENGTH: usize = 60;

/// Where the call stands, who called over which connection, and what the name already says.
const HIDDEN: &[&str] = &[
    "client.",
    "code.",
    "error.",
    "http.",
    "messaging.",
    "network.",
    "otel.",
    "server.",
    "telemetry.",
    "thread.",
    "throughline.",
    "url.",
    "user_agent.",
];

/// Shown although their namespace is hidden.
const SHOWN: &[&str] = &["http.response.status_code", "throughline.stream.items"];

/// The key attributes, in the order in which they were set.
pub(super) fn of_interest(attributes: &[KeyValue]) -> impl Iterator<Item = String> {
    attributes.iter().filter(|attribute| is_of_interest(attribute.key.as_str())).take(MOST).map(|attribute| {
        let value = attribute.value.as_str();
        let value = text::shown(&value, VALUE_LENGTH);
        let key = text::shown(attribute.key.as_str(), VALUE_LENGTH);
        if value.is_empty() || value.contains(' ') {
            format!("{key}={value:?}")
        } else {
            format!("{key}={value}")
        }
    })
}

fn is_of_interest(key: &str) -> bool {
    SHOWN.contains(&key) || !HIDDEN.iter().any(|prefix| key.starts_with(prefix))
}

pub(super) fn find<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a Value> {
    attributes.iter().find(|attribute| attribute.key.as_str() == key).map(|attribute| &attribute.value)
}

pub(super) fn is_true(attributes: &[KeyValue], key: &str) -> bool {
    matches!(find(attributes, key), Some(Value::Bool(true)))
}

/// A number, whether it was recorded as a whole one or not.
pub(super) fn number(attributes: &[KeyValue], key: &str) -> Option<f64> {
    match find(attributes, key)? {
        // A time in milliseconds is far below 2^53.
        #[allow(clippy::cast_precision_loss)]
        Value::I64(number) => Some(*number as f64),
        Value::F64(number) => Some(*number),
        _ => None,
    }
}
