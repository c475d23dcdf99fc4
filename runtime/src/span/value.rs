//! Values of span fields, small enough for the hot path.

use opentelemetry::{Array, Value};

/// The value of a field as the record carries it.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldValue {
    /// Left out.
    Null,
    /// An integer.
    I64(i64),
    /// A float.
    F64(f64),
    /// A boolean.
    Bool(bool),
    /// A string that lives for ever: nothing is copied.
    Static(&'static str),
    /// A string of its own.
    Owned(Box<str>),
    /// An array of one type.
    Array(Box<Array>),
}

impl FieldValue {
    /// Bytes on the heap, about.
    #[inline]
    pub(crate) fn heap_bytes(&self) -> usize {
        match self {
            Self::Null | Self::I64(_) | Self::F64(_) | Self::Bool(_) | Self::Static(_) => 0,
            Self::Owned(text) => text.len(),
            Self::Array(array) => {
                super::limits::heap_bytes(&Value::Array((**array).clone())) + size_of::<Array>()
            }
        }
    }

    /// As OpenTelemetry's type; `None` for a value left out.
    pub(crate) fn into_value(self) -> Option<Value> {
        Some(match self {
            Self::Null => return None,
            Self::I64(value) => Value::I64(value),
            Self::F64(value) => Value::F64(value),
            Self::Bool(value) => Value::Bool(value),
            Self::Static(value) => Value::String(value.into()),
            Self::Owned(value) => Value::String(String::from(value).into()),
            Self::Array(array) => Value::Array(*array),
        })
    }
}

/// A value that can be a span attribute.
pub trait ToValue {
    /// The value; [`FieldValue::Null`] leaves the attribute out.
    fn to_value(&self) -> FieldValue;
}
