//! Single fields of a struct as headers, for `#[derive(TraceContext)]`.

use std::ops::ControlFlow;

use super::carrier::{HeaderEdit, HeaderView};
use super::w3c::{BAGGAGE, TRACEPARENT, TRACESTATE};

/// Fields of a message, to be read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fields<'f>([Option<&'f str>; 3]);

impl<'f> Fields<'f> {
    /// No fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// The field that holds `traceparent`.
    #[must_use]
    pub fn traceparent(mut self, field: &'f Option<String>) -> Self {
        self.0[0] = field.as_deref();
        self
    }

    /// The field that holds `tracestate`.
    #[must_use]
    pub fn tracestate(mut self, field: &'f Option<String>) -> Self {
        self.0[1] = field.as_deref();
        self
    }

    /// The field that holds `baggage`.
    #[must_use]
    pub fn baggage(mut self, field: &'f Option<String>) -> Self {
        self.0[2] = field.as_deref();
        self
    }
}

impl HeaderView for Fields<'_> {
    fn walk_back<'a>(&'a self, visit: &mut dyn FnMut(&'a [u8], Option<&'a [u8]>) -> ControlFlow<()>) {
        for (name, value) in [TRACEPARENT, TRACESTATE, BAGGAGE].into_iter().zip(self.0) {
            if let Some(value) = value
                && visit(name.as_bytes(), Some(value.as_bytes())).is_break()
            {
                return;
            }
        }
    }
}

/// Fields of a message, to be written.
#[derive(Debug, Default)]
pub struct FieldsMut<'f>([Option<&'f mut Option<String>>; 3]);

impl<'f> FieldsMut<'f> {
    /// No fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// The field that takes `traceparent`.
    #[must_use]
    pub fn traceparent(mut self, field: &'f mut Option<String>) -> Self {
        self.0[0] = Some(field);
        self
    }

    /// The field that takes `tracestate`.
    #[must_use]
    pub fn tracestate(mut self, field: &'f mut Option<String>) -> Self {
        self.0[1] = Some(field);
        self
    }

    /// The field that takes `baggage`.
    #[must_use]
    pub fn baggage(mut self, field: &'f mut Option<String>) -> Self {
        self.0[2] = Some(field);
        self
    }

    fn of(&mut self, header: &str) -> Option<&mut Option<String>> {
        let index =
            [TRACEPARENT, TRACESTATE, BAGGAGE].iter().position(|name| header.eq_ignore_ascii_case(name))?;
        self.0.get_mut(index)?.as_deref_mut()
    }
}

impl HeaderEdit for FieldsMut<'_> {
    fn remove(&mut self, names: &[&str]) {
        for name in names {
            if let Some(field) = self.of(name) {
                *field = None;
            }
        }
    }

    fn append(&mut self, name: &str, value: &str) {
        if let Some(field) = self.of(name) {
            *field = Some(value.to_owned());
        }
    }
}
