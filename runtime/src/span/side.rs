//! The side box: what a span carries beyond its fixed record. Most spans have none.

use std::borrow::Cow;

use opentelemetry::trace::{Event, Link, SpanContext, Status, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};

use super::limits::{self, MAX_SPAN_BYTES, SpanLimits, attribute_bytes};
use super::message::Details;
use super::site::Kind;

/// Attributes, events, links, status and name written to a span besides its own fields.
#[derive(Clone, Debug, Default)]
pub(crate) struct Side {
    pub(crate) name: Option<Cow<'static, str>>,
    pub(crate) kind: Option<Kind>,
    pub(crate) scope: Option<InstrumentationScope>,
    pub(crate) trace_state: Option<TraceState>,
    pub(crate) attributes: Vec<KeyValue>,
    pub(crate) dropped_attributes: u32,
    pub(crate) events: Vec<Event>,
    pub(crate) dropped_events: u32,
    pub(crate) links: Vec<Link>,
    pub(crate) dropped_links: u32,
    pub(crate) status: Status,
    /// An end time given through the API, in nanoseconds since the epoch.
    pub(crate) end_ns: Option<u64>,
    /// What it tells of its message, where that may take no place beside the record.
    pub(crate) details: Option<Details>,
    /// Heap owned, about. Bounded by [`MAX_SPAN_BYTES`].
    pub(crate) bytes: usize,
}

impl Side {
    /// Sets an attribute; an attribute of the same key is overwritten.
    pub(crate) fn set_attribute(&mut self, attribute: KeyValue) {
        let limits = limits::current();
        let attribute = match limits.value_length {
            Some(_) => KeyValue::new(attribute.key, limits.cut_value(attribute.value)),
            None => attribute,
        };
        let has_room = self.attributes.len() < limits.attributes as usize;
        let existing = self.attributes.iter_mut().find(|existing| existing.key == attribute.key);
        let before = existing.as_deref().map_or(0, attribute_bytes);
        let bytes = (self.bytes - before).saturating_add(attribute_bytes(&attribute));
        match existing {
            _ if bytes > MAX_SPAN_BYTES => self.dropped_attributes += 1,
            Some(existing) => {
                self.bytes = bytes;
                *existing = attribute;
            }
            None if has_room => {
                self.bytes = bytes;
                self.attributes.push(attribute);
            }
            None => self.dropped_attributes += 1,
        }
    }

    /// The attribute that holds the most memory besides itself: its place and its bytes.
    pub(super) fn largest_attribute(&self) -> Option<(usize, usize)> {
        let bytes = |attribute: &KeyValue| limits::heap_bytes(&attribute.value);
        let all = self.attributes.iter().map(bytes).enumerate();
        all.max_by_key(|(_, bytes)| *bytes).filter(|(_, bytes)| *bytes > 0)
    }

    pub(super) fn drop_attribute(&mut self, at: usize) {
        self.bytes -= attribute_bytes(&self.attributes.swap_remove(at));
        self.dropped_attributes += 1;
    }

    /// Leaves the newest event out; false if there is none.
    pub(super) fn drop_event(&mut self) -> bool {
        let Some(event) = self.events.pop() else { return false };
        self.bytes -= event_bytes(&event);
        self.dropped_events += 1;
        true
    }

    pub(crate) fn add_event(&mut self, mut event: Event) {
        let limits = limits::current();
        if self.events.len() >= limits.events as usize {
            self.dropped_events += 1;
            return;
        }
        event.dropped_attributes_count += cap(&mut event.attributes, limits.attributes_per_event, limits);
        if self.take_bytes(event_bytes(&event)) {
            self.events.push(event);
        } else {
            self.dropped_events += 1;
        }
    }

    pub(crate) fn add_link(&mut self, mut link: Link) {
        let limits = limits::current();
        if self.links.len() >= limits.links as usize {
            self.dropped_links += 1;
            return;
        }
        link.dropped_attributes_count += cap(&mut link.attributes, limits.attributes_per_link, limits);
        if self.take_bytes(size_of::<Link>() + bytes_of_all(&link.attributes)) {
            self.links.push(link);
        } else {
            self.dropped_links += 1;
        }
    }

    /// A link without attributes, if it points anywhere.
    pub(crate) fn add_link_to(&mut self, to: SpanContext) {
        if to.is_valid() {
            self.add_link(Link::new(to, Vec::new(), 0));
        }
    }

    /// The specification's order: Ok beats Error beats Unset.
    pub(crate) fn set_status(&mut self, status: Status) {
        if status > self.status
            || matches!((&status, &self.status), (Status::Error { .. }, Status::Error { .. }))
        {
            let bytes = self.bytes - limits::status_bytes(&self.status);
            self.bytes = bytes.saturating_add(limits::status_bytes(&status));
            self.status = status;
        }
    }

    pub(crate) fn update_name(&mut self, name: Cow<'static, str>) {
        let before = self.name.as_ref().map_or(0, |name| name.len());
        self.bytes = (self.bytes - before).saturating_add(name.len());
        self.name = Some(name);
    }

    /// Adds what was written later, by others, to what this span was given at its start.
    pub(crate) fn merge(&mut self, later: Side) {
        for attribute in later.attributes {
            self.set_attribute(attribute);
        }
        later.events.into_iter().for_each(|event| self.add_event(event));
        later.links.into_iter().for_each(|link| self.add_link(link));
        self.dropped_attributes += later.dropped_attributes;
        self.dropped_events += later.dropped_events;
        self.dropped_links += later.dropped_links;
        self.set_status(later.status);
        if let Some(name) = later.name {
            self.update_name(name);
        }
        self.end_ns = later.end_ns.or(self.end_ns);
    }

    fn take_bytes(&mut self, bytes: usize) -> bool {
        let fits = self.bytes.saturating_add(bytes) <= MAX_SPAN_BYTES;
        if fits {
            self.bytes += bytes;
        }
        fits
    }
}

/// Keeps the first attributes and cuts their values; gives how many were left out.
fn cap(attributes: &mut Vec<KeyValue>, most: u32, limits: &SpanLimits) -> u32 {
    let over = attributes.len().saturating_sub(most as usize);
    attributes.truncate(most as usize);
    if limits.value_length.is_some() {
        for attribute in attributes.iter_mut() {
            attribute.value = limits.cut_value(attribute.value.clone());
        }
    }
    u32::try_from(over).unwrap_or(u32::MAX)
}

fn event_bytes(event: &Event) -> usize {
    size_of::<Event>() + event.name.len() + bytes_of_all(&event.attributes)
}

fn bytes_of_all(attributes: &[KeyValue]) -> usize {
    attributes.iter().map(attribute_bytes).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_overwrites_by_key() {
        let mut side = Side::default();
        side.set_attribute(KeyValue::new("a", 1));
        side.set_attribute(KeyValue::new("a", 2));
        assert_eq!(side.attributes, [KeyValue::new("a", 2)]);
    }

    #[test]
    fn status_follows_ok_error_unset() {
        let mut side = Side::default();
        side.set_status(Status::error("first"));
        side.set_status(Status::Unset);
        assert_eq!(side.status, Status::error("first"));
        side.set_status(Status::Ok);
        side.set_status(Status::error("late"));
        assert_eq!(side.status, Status::Ok);
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let mut side = Side::default();
        for key in 0..200 {
            side.set_attribute(KeyValue::new(format!("key.{key}"), 1));
        }
        assert_eq!((side.attributes.len(), side.dropped_attributes), (128, 72));
        side.set_attribute(KeyValue::new("key.0", "x".repeat(MAX_SPAN_BYTES)));
        assert_eq!(side.dropped_attributes, 73);
        assert!(side.bytes <= MAX_SPAN_BYTES);
    }

    #[test]
    fn value_that_is_overwritten_takes_its_room_once() {
        let mut side = Side::default();
        for number in 0..10_000 {
            side.set_attribute(KeyValue::new("progress", format!("{number:5}")));
            side.update_name(format!("step {number:5}").into());
            side.set_status(Status::error(format!("{number:5}")));
        }
        assert_eq!(side.attributes, [KeyValue::new("progress", " 9999")]);
        assert_eq!(side.dropped_attributes, 0);
        assert!(side.bytes < 1_000, "{}", side.bytes);
    }

    #[test]
    fn a_merge_keeps_both_and_the_later_word() {
        let mut first = Side::default();
        first.set_attribute(KeyValue::new("a", 1));
        let mut later = Side::default();
        later.set_attribute(KeyValue::new("a", 2));
        later.set_attribute(KeyValue::new("b", 3));
        later.update_name("renamed".into());
        first.merge(later);
        assert_eq!(first.attributes, [KeyValue::new("a", 2), KeyValue::new("b", 3)]);
        assert_eq!(first.name.as_deref(), Some("renamed"));
    }
}
