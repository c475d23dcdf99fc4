//! `rdkafka`'s headers, records and messages as carriers.

use std::ops::ControlFlow;

use opentelemetry::KeyValue;
use rdkafka::Message;
use rdkafka::message::{BorrowedHeaders, BorrowedMessage, OwnedHeaders, OwnedMessage, ToBytes};
use rdkafka::producer::{BaseRecord, FutureRecord};
use rdkafka::util::IntoOpaque;

use super::options::CapturedHeader;
use super::{attributes, native};
use crate::propagation::{HeaderEdit, HeaderView};

impl HeaderView for BorrowedHeaders {
    fn walk_back<'a>(&'a self, visit: &mut dyn FnMut(&'a [u8], Option<&'a [u8]>) -> ControlFlow<()>) {
        native::walk_back(self, visit);
    }
}

impl HeaderView for OwnedHeaders {
    fn walk_back<'a>(&'a self, visit: &mut dyn FnMut(&'a [u8], Option<&'a [u8]>) -> ControlFlow<()>) {
        native::walk_back(self.as_borrowed(), visit);
    }
}

impl HeaderEdit for OwnedHeaders {
    fn remove(&mut self, names: &[&str]) {
        native::remove(self, names);
    }

    fn append(&mut self, name: &str, value: &str) {
        native::append(self, name.as_bytes(), Some(value.as_bytes()));
    }
}

impl HeaderView for Option<OwnedHeaders> {
    fn walk_back<'a>(&'a self, visit: &mut dyn FnMut(&'a [u8], Option<&'a [u8]>) -> ControlFlow<()>) {
        if let Some(headers) = self {
            headers.walk_back(visit);
        }
    }
}

impl HeaderEdit for Option<OwnedHeaders> {
    fn remove(&mut self, names: &[&str]) {
        if let Some(headers) = self {
            headers.remove(names);
        }
    }

    fn append(&mut self, name: &str, value: &str) {
        self.get_or_insert_default().append(name, value);
    }
}

impl HeaderView for BorrowedMessage<'_> {
    fn walk_back<'a>(&'a self, visit: &mut dyn FnMut(&'a [u8], Option<&'a [u8]>) -> ControlFlow<()>) {
        native::walk_message_back(self, visit);
    }
}

impl HeaderView for OwnedMessage {
    fn walk_back<'a>(&'a self, visit: &mut dyn FnMut(&'a [u8], Option<&'a [u8]>) -> ControlFlow<()>) {
        if let Some(headers) = self.headers() {
            headers.walk_back(visit);
        }
    }
}

impl<K: ToBytes + ?Sized, P: ToBytes + ?Sized> HeaderView for FutureRecord<'_, K, P> {
    fn walk_back<'a>(&'a self, visit: &mut dyn FnMut(&'a [u8], Option<&'a [u8]>) -> ControlFlow<()>) {
        self.headers.walk_back(visit);
    }
}

impl<K: ToBytes + ?Sized, P: ToBytes + ?Sized> HeaderEdit for FutureRecord<'_, K, P> {
    fn remove(&mut self, names: &[&str]) {
        self.headers.remove(names);
    }

    fn append(&mut self, name: &str, value: &str) {
        self.headers.append(name, value);
    }
}

impl<K: ToBytes + ?Sized, P: ToBytes + ?Sized, D: IntoOpaque> HeaderView for BaseRecord<'_, K, P, D> {
    fn walk_back<'a>(&'a self, visit: &mut dyn FnMut(&'a [u8], Option<&'a [u8]>) -> ControlFlow<()>) {
        self.headers.walk_back(visit);
    }
}

impl<K: ToBytes + ?Sized, P: ToBytes + ?Sized, D: IntoOpaque> HeaderEdit for BaseRecord<'_, K, P, D> {
    fn remove(&mut self, names: &[&str]) {
        self.headers.remove(names);
    }

    fn append(&mut self, name: &str, value: &str) {
        self.headers.append(name, value);
    }
}

/// A longer header is not captured, in bytes.
const MAX_CAPTURED_BYTES: usize = 256;

/// A header as an attribute, if it is UTF-8 and not too long.
fn captured<H: HeaderView + ?Sized>(headers: &H, header: &str, attribute: &'static str) -> Option<KeyValue> {
    let value = last(headers, header).filter(|value| value.len() <= MAX_CAPTURED_BYTES)?;
    Some(KeyValue::new(attribute, str::from_utf8(value).ok()?.to_owned()))
}

/// The headers that become attributes: message id, conversation id (kafka.md A-13), and those that were named for it.
pub(super) fn all_captured<H: HeaderView + ?Sized>(
    headers: &H,
    message_id: Option<&'static str>,
    conversation_id: Option<&'static str>,
    named: &'static [CapturedHeader],
) -> impl Iterator<Item = KeyValue> {
    let ids = [(message_id, attributes::MESSAGE_ID), (conversation_id, attributes::CONVERSATION_ID)];
    let ids = ids.into_iter().filter_map(|(header, attribute)| Some((header?, attribute)));
    let named = named.iter().map(|captured| (captured.header, captured.attribute));
    ids.chain(named).filter_map(move |(header, attribute)| captured(headers, header, attribute))
}

/// The value of the last header called `name`, ignoring ASCII case.
pub(super) fn last<'a, H: HeaderView + ?Sized>(headers: &'a H, name: &str) -> Option<&'a [u8]> {
    let mut found = None;
    headers.walk_back(&mut |header, value| {
        if header.eq_ignore_ascii_case(name.as_bytes()) {
            found = value;
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    });
    found
}
