//! Setting the values of a call site's keys.

use std::fmt::{Debug, Display};

use super::owned::OwnedSpan;
use super::sync::Span;
use super::value::{FieldValue, ToValue};

mod sealed {
    use super::FieldValue;

    pub trait Sealed {
        fn put(&mut self, index: usize, value: FieldValue);
    }
}

/// A span whose fields can be set: [`Span`] and [`OwnedSpan`].
pub trait Slot: sealed::Sealed {}

impl sealed::Sealed for Span {
    #[inline]
    fn put(&mut self, index: usize, value: FieldValue) {
        self.core.set(index, value);
    }
}

impl sealed::Sealed for OwnedSpan {
    #[inline]
    fn put(&mut self, index: usize, value: FieldValue) {
        self.core.set(index, value);
    }
}

impl Slot for Span {}
impl Slot for OwnedSpan {}

/// Sets the value of the site's key at `index`.
#[inline]
pub fn set<S: Slot, V: ToValue + ?Sized>(span: &mut S, index: usize, value: &V) {
    span.put(index, value.to_value());
}

/// Sets a string that lives for ever: nothing is copied.
#[inline]
pub fn set_static<S: Slot>(span: &mut S, index: usize, value: &'static str) {
    span.put(index, FieldValue::Static(value));
}

/// Sets a value by `Display`.
pub fn set_display<S: Slot>(span: &mut S, index: usize, value: &dyn Display) {
    span.put(index, FieldValue::display(value));
}

/// Sets a value by `Debug`.
pub fn set_debug<S: Slot>(span: &mut S, index: usize, value: &dyn Debug) {
    span.put(index, FieldValue::debug(value));
}
