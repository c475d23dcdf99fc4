//! The fields of an annotated handler, which go to the process span that is its own or the runner's.

use std::fmt::{Debug, Display};

use opentelemetry::KeyValue;

use super::metrics::Measure;
use crate::span::{self, FieldValue, Slot, ToValue};

/// Sets the value of the site's key at `index`, which is `key`.
#[inline]
pub fn set<S: Slot, V: ToValue + ?Sized>(
    span: &mut S,
    measure: &Measure,
    index: usize,
    key: &'static str,
    value: &V,
) {
    if measure.claimed().is_some() {
        fill(measure, key, value.to_value());
    } else {
        span::set(span, index, value);
    }
}

/// Sets a string that lives for ever.
#[inline]
pub fn set_static<S: Slot>(
    span: &mut S,
    measure: &Measure,
    index: usize,
    key: &'static str,
    value: &'static str,
) {
    if measure.claimed().is_some() {
        fill(measure, key, FieldValue::Static(value));
    } else {
        span::set_static(span, index, value);
    }
}

/// Sets a value by `Display`.
pub fn set_display<S: Slot>(
    span: &mut S,
    measure: &Measure,
    index: usize,
    key: &'static str,
    value: &dyn Display,
) {
    if measure.claimed().is_some() {
        fill(measure, key, FieldValue::display(value));
    } else {
        span::set_display(span, index, value);
    }
}

/// Sets a value by `Debug`.
pub fn set_debug<S: Slot>(
    span: &mut S,
    measure: &Measure,
    index: usize,
    key: &'static str,
    value: &dyn Debug,
) {
    if measure.claimed().is_some() {
        fill(measure, key, FieldValue::debug(value));
    } else {
        span::set_debug(span, index, value);
    }
}

#[cold]
fn fill(measure: &Measure, key: &'static str, value: FieldValue) {
    if let (Some(claimed), Some(value)) = (measure.claimed(), value.into_value()) {
        claimed.set_attribute(KeyValue::new(key, value));
    }
}
