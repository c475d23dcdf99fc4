//! `http::HeaderMap` as a carrier.

use std::ops::ControlFlow;

use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::carrier::{HeaderEdit, HeaderView};
use super::w3c::{BAGGAGE, TRACEPARENT, TRACESTATE};

impl HeaderView for HeaderMap {
    /// The map's iterator gives the values of one name one after the other, in order, but cannot run backwards; so the
    /// values of a name are turned round here.
    fn walk_back<'a>(&'a self, visit: &mut dyn FnMut(&'a [u8], Option<&'a [u8]>) -> ControlFlow<()>) {
        let mut headers = self.iter().peekable();
        let mut values = Vec::new();
        while let Some((name, value)) = headers.next() {
            if headers.peek().is_none_or(|(next, _)| !std::ptr::eq(*next, name)) && values.is_empty() {
                if visit(name.as_str().as_bytes(), Some(value.as_bytes())).is_break() {
                    return;
                }
                continue;
            }
            values.push(value);
            if headers.peek().is_some_and(|(next, _)| std::ptr::eq(*next, name)) {
                continue;
            }
            for value in values.drain(..).rev() {
                if visit(name.as_str().as_bytes(), Some(value.as_bytes())).is_break() {
                    return;
                }
            }
        }
    }
}

impl HeaderEdit for HeaderMap {
    fn remove(&mut self, names: &[&str]) {
        for name in names {
            HeaderMap::remove(self, *name);
        }
    }

    fn append(&mut self, name: &str, value: &str) {
        let name = match name {
            TRACEPARENT => Ok(HeaderName::from_static(TRACEPARENT)),
            TRACESTATE => Ok(HeaderName::from_static(TRACESTATE)),
            BAGGAGE => Ok(HeaderName::from_static(BAGGAGE)),
            other => HeaderName::from_bytes(other.as_bytes()),
        };
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
            // A map that is full stays as it is; `append` would panic.
            let _ = self.try_append(name, value);
        }
    }
}
