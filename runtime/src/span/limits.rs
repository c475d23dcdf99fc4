//! Limits on what one span may carry, by the specification's environment variables.

use std::sync::OnceLock;

use opentelemetry::trace::Status;
use opentelemetry::{KeyValue, Value};

/// How much one span may carry. What is cut or left out is counted in the span's `dropped_*_count`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpanLimits {
    /// Attributes of a span; `OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT`, default 128.
    pub attributes: u32,
    /// Events of a span; `OTEL_SPAN_EVENT_COUNT_LIMIT`, default 128.
    pub events: u32,
    /// Links of a span; `OTEL_SPAN_LINK_COUNT_LIMIT`, default 128.
    pub links: u32,
    /// Attributes of one event; `OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT`, default 128.
    pub attributes_per_event: u32,
    /// Attributes of one link; `OTEL_LINK_ATTRIBUTE_COUNT_LIMIT`, default 128.
    pub attributes_per_link: u32,
    /// Longest string value in characters; `OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT`, default unlimited.
    pub value_length: Option<u32>,
}

impl SpanLimits {
    /// The specification's defaults.
    pub const DEFAULT: Self = Self {
        attributes: 128,
        events: 128,
        links: 128,
        attributes_per_event: 128,
        attributes_per_link: 128,
        value_length: None,
    };

    /// Cuts a string that is too long, on a character boundary.
    pub(crate) fn cut<'s>(&self, text: &'s str) -> &'s str {
        let Some(most) = self.value_length else { return text };
        match text.char_indices().nth(most as usize) {
            Some((end, _)) => text.get(..end).unwrap_or(text),
            None => text,
        }
    }

    /// Cuts a value, or each string of an array.
    pub(crate) fn cut_value(&self, value: Value) -> Value {
        if self.value_length.is_none() {
            return value;
        }
        match value {
            Value::String(text) => {
                let cut = self.cut(text.as_str());
                if cut.len() == text.as_str().len() {
                    Value::String(text)
                } else {
                    Value::from(cut.to_owned())
                }
            }
            Value::Array(opentelemetry::Array::String(texts)) => Value::Array(opentelemetry::Array::String(
                texts.into_iter().map(|text| self.cut(text.as_str()).to_owned().into()).collect(),
            )),
            other => other,
        }
    }
}

impl Default for SpanLimits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

static LIMITS: OnceLock<SpanLimits> = OnceLock::new();

/// The limits of this process: set once by set-up.
pub(crate) fn current() -> &'static SpanLimits {
    LIMITS.get().unwrap_or(&SpanLimits::DEFAULT)
}

pub(crate) fn set(limits: SpanLimits) {
    // Set-up runs once; a second pipeline (`Setup::local()`) does not change what annotated functions do.
    let _ = LIMITS.set(limits);
}

/// What one span may own in bytes. Above that its further values are left out: one runaway value must not push
/// everybody else's spans out of the queue.
pub(crate) const MAX_SPAN_BYTES: usize = 256 << 10;

/// Bytes that an attribute takes, about.
pub(crate) fn attribute_bytes(attribute: &KeyValue) -> usize {
    size_of::<KeyValue>() + attribute.key.as_str().len() + heap_bytes(&attribute.value)
}

/// Bytes of heap that a status owns, about.
pub(crate) fn status_bytes(status: &Status) -> usize {
    match status {
        Status::Error { description } => description.len(),
        Status::Unset | Status::Ok => 0,
    }
}

/// Bytes of heap that a value owns, about.
pub(crate) fn heap_bytes(value: &Value) -> usize {
    use opentelemetry::Array;
    match value {
        Value::String(text) => text.as_str().len(),
        Value::Array(Array::String(texts)) => texts.iter().map(|text| text.as_str().len() + 24).sum(),
        Value::Array(Array::Bool(items)) => items.len(),
        Value::Array(Array::I64(items)) => items.len() * 8,
        Value::Array(Array::F64(items)) => items.len() * 8,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_cut_between_characters() {
        let limits = SpanLimits { value_length: Some(3), ..SpanLimits::DEFAULT };
        assert_eq!(limits.cut("äöüß"), "äöü");
        assert_eq!(limits.cut("ab"), "ab");
        assert_eq!(limits.cut_value(Value::from("abcdef")), Value::from("abc"));
        assert_eq!(limits.cut_value(Value::from(123_456_i64)), Value::from(123_456_i64));
    }

    #[test]
    fn no_limit_cuts_nothing() {
        assert_eq!(SpanLimits::DEFAULT.cut("abcdef"), "abcdef");
    }
}
