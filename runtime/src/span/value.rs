//! Values of span fields, small enough for the hot path.

use std::fmt::{self, Debug, Display, Write as _};
use std::{borrow::Cow, rc::Rc, sync::Arc};

use opentelemetry::{Array, StringValue, Value};

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
    /// The text that `%value` records.
    pub fn display(value: &dyn Display) -> Self {
        Self::Owned(text(format_args!("{value}")).into())
    }

    /// The text that `?value` records.
    pub fn debug(value: &dyn Debug) -> Self {
        Self::Owned(text(format_args!("{value:?}")).into())
    }

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

/// What a user's type writes about itself. One that fails to is left at what it wrote, where `to_string` panics.
pub(crate) fn text(value: fmt::Arguments<'_>) -> String {
    let mut text = String::new();
    let _ = text.write_fmt(value);
    text
}

/// A value that can be a span attribute.
///
/// Implemented for `bool`, integers, floats, strings, `char`, references and smart pointers to them, arrays, slices and
/// `Vec` of one such type, and `Option`, whose `None` leaves the attribute out. An integer is recorded as `i64`; one
/// that does not fit as its decimal string. Any other type is recorded by `Display` (`%value`) or `Debug` (`?value`).
///
/// ```
/// use throughline::{FieldValue, ToValue};
///
/// struct OrderId(u32);
///
/// impl ToValue for OrderId {
///     fn to_value(&self) -> FieldValue {
///         self.0.to_value()
///     }
/// }
///
/// assert_eq!(OrderId(7).to_value(), FieldValue::I64(7));
/// assert_eq!(u64::MAX.to_value(), FieldValue::Owned("18446744073709551615".into()));
/// assert_eq!(None::<OrderId>.to_value(), FieldValue::Null);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be recorded as a span attribute; write `%..` or `?..`",
    label = "no span attribute: `%` records it by `Display`, `?` by `Debug`"
)]
pub trait ToValue {
    /// The value; [`FieldValue::Null`] leaves the attribute out.
    fn to_value(&self) -> FieldValue;
}

/// What all elements of an array have in common, so that an empty array has a type, too.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElementKind {
    Bool,
    I64,
    F64,
    Text,
}

/// A type that can be an element of an attribute that is an array.
#[diagnostic::on_unimplemented(
    message = "an array of `{Self}` cannot be recorded as a span attribute; write `?..`",
    label = "no span attribute: arrays hold booleans, numbers or strings; `?` records it by `Debug`"
)]
pub trait ToElement: ToValue {
    #[doc(hidden)]
    const KIND: ElementKind;
}

macro_rules! scalar {
    ($($ty:ty, $kind:ident, |$value:ident| $body:expr;)*) => {$(
        impl ToValue for $ty {
            #[inline]
            fn to_value(&self) -> FieldValue {
                let $value = self;
                $body
            }
        }

        impl ToElement for $ty {
            const KIND: ElementKind = ElementKind::$kind;
        }
    )*};
}

scalar! {
    bool, Bool, |value| FieldValue::Bool(*value);
    f32, F64, |value| FieldValue::F64(f64::from(*value));
    f64, F64, |value| FieldValue::F64(*value);
    char, Text, |value| FieldValue::Owned(value.to_string().into());
    str, Text, |value| FieldValue::Owned(value.into());
    String, Text, |value| FieldValue::Owned(value.as_str().into());
    Cow<'_, str>, Text, |value| FieldValue::Owned((&**value).into());
}

macro_rules! integers {
    ($($ty:ident)*) => {$(
        scalar! {
            $ty, I64, |value| match i64::try_from(*value) {
                Ok(value) => FieldValue::I64(value),
                // A lossy number would be worse than a string: ids are compared, not added up.
                Err(_) => FieldValue::Owned(value.to_string().into()),
            };
        }
    )*};
}

integers!(i8 i16 i32 i64 i128 isize u8 u16 u32 u64 u128 usize);

macro_rules! non_zero {
    ($($ty:ident)*) => {
        scalar! { $(std::num::$ty, I64, |value| value.get().to_value();)* }
    };
}

non_zero!(NonZeroI8 NonZeroI16 NonZeroI32 NonZeroI64 NonZeroI128 NonZeroIsize);
non_zero!(NonZeroU8 NonZeroU16 NonZeroU32 NonZeroU64 NonZeroU128 NonZeroUsize);

macro_rules! pointers {
    ($($ty:ty)*) => {$(
        impl<T: ToValue + ?Sized> ToValue for $ty {
            #[inline]
            fn to_value(&self) -> FieldValue {
                (**self).to_value()
            }
        }

        impl<T: ToElement + ?Sized> ToElement for $ty {
            const KIND: ElementKind = T::KIND;
        }
    )*};
}

pointers!(&T &mut T Box<T> Rc<T> Arc<T>);

impl<T: ToValue> ToValue for Option<T> {
    #[inline]
    fn to_value(&self) -> FieldValue {
        self.as_ref().map_or(FieldValue::Null, ToValue::to_value)
    }
}

impl<T: ToElement> ToValue for [T] {
    fn to_value(&self) -> FieldValue {
        let values = || self.iter().map(ToValue::to_value);
        FieldValue::Array(Box::new(match T::KIND {
            ElementKind::Bool => Array::Bool(values().filter_map(|value| as_bool(&value)).collect()),
            ElementKind::F64 => Array::F64(values().filter_map(|value| as_f64(&value)).collect()),
            ElementKind::Text => Array::String(values().map(into_text).collect()),
            ElementKind::I64 => match values().map(|value| as_i64(&value)).collect() {
                Some(integers) => Array::I64(integers),
                // An array has one type: one integer that does not fit makes all of them strings.
                None => Array::String(values().map(into_text).collect()),
            },
        }))
    }
}

impl<T: ToElement, const N: usize> ToValue for [T; N] {
    #[inline]
    fn to_value(&self) -> FieldValue {
        self.as_slice().to_value()
    }
}

impl<T: ToElement> ToValue for Vec<T> {
    #[inline]
    fn to_value(&self) -> FieldValue {
        self.as_slice().to_value()
    }
}

impl ToValue for FieldValue {
    fn to_value(&self) -> FieldValue {
        self.clone()
    }
}

fn as_bool(value: &FieldValue) -> Option<bool> {
    if let FieldValue::Bool(value) = value { Some(*value) } else { None }
}

fn as_f64(value: &FieldValue) -> Option<f64> {
    if let FieldValue::F64(value) = value { Some(*value) } else { None }
}

fn as_i64(value: &FieldValue) -> Option<i64> {
    if let FieldValue::I64(value) = value { Some(*value) } else { None }
}

fn into_text(value: FieldValue) -> StringValue {
    match value {
        FieldValue::Static(text) => text.into(),
        FieldValue::Owned(text) => String::from(text).into(),
        FieldValue::I64(value) => value.to_string().into(),
        FieldValue::F64(value) => value.to_string().into(),
        FieldValue::Bool(value) => value.to_string().into(),
        FieldValue::Null | FieldValue::Array(_) => "".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(value: impl ToValue) -> Array {
        match value.to_value() {
            FieldValue::Array(array) => *array,
            other => panic!("no array: {other:?}"),
        }
    }

    // tokio-rs/tracing#3104, tracing-opentelemetry#267: all of `u64` came out as strings.
    #[test]
    fn an_integer_is_a_string_only_if_it_does_not_fit() {
        assert_eq!(3u64.to_value(), FieldValue::I64(3));
        assert_eq!((i64::MAX as u64).to_value(), FieldValue::I64(i64::MAX));
        assert_eq!((i64::MAX as u64 + 1).to_value(), FieldValue::Owned("9223372036854775808".into()));
        assert_eq!(i128::MIN.to_value(), FieldValue::Owned(i128::MIN.to_string().into()));
        assert_eq!(std::num::NonZeroU8::MAX.to_value(), FieldValue::I64(255));
    }

    #[test]
    fn pointers_are_looked_through() {
        assert_eq!((&&Box::new(Arc::new(1u8))).to_value(), FieldValue::I64(1));
        assert_eq!(Rc::<str>::from("a").to_value(), FieldValue::Owned("a".into()));
        assert_eq!(Cow::Borrowed("a").to_value(), FieldValue::Owned("a".into()));
    }

    #[test]
    fn none_is_left_out() {
        assert_eq!(None::<&str>.to_value(), FieldValue::Null);
        assert_eq!(Some(Some(true)).to_value(), FieldValue::Bool(true));
    }

    #[test]
    fn arrays_have_one_type() {
        assert_eq!(array([1u8, 2]), Array::I64(vec![1, 2]));
        assert_eq!(array(vec!["a", "b"]), Array::String(vec!["a".into(), "b".into()]));
        assert_eq!(array([true]), Array::Bool(vec![true]));
        assert_eq!(array(&[0.5f32][..]), Array::F64(vec![0.5]));
        assert_eq!(array([1, u64::MAX]), Array::String(vec!["1".into(), u64::MAX.to_string().into()]));
    }

    #[test]
    fn an_empty_array_keeps_its_type() {
        assert_eq!(array(Vec::<i32>::new()), Array::I64(vec![]));
        assert_eq!(array(Vec::<String>::new()), Array::String(vec![]));
    }
}
