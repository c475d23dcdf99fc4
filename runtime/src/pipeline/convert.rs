//! From records to `SpanData`.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use opentelemetry::trace::{Link, SpanContext, SpanId, Status, TraceFlags, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use super::timeline::{Times, system_time};
use crate::span::limits::{self, SpanLimits};
use crate::span::message::{Details, Word};
use crate::span::record::{Record, flag};
use crate::span::side::Side;
use crate::span::{Site, trace_id};

/// What a call site gives to each of its spans, made once.
#[derive(Debug)]
struct SiteData {
    scope: InstrumentationScope,
    code: Vec<(&'static str, Word)>,
}

/// A hash of the address of a static: nobody outside chooses those, so it need not be a strong one.
#[derive(Default)]
struct Address(u64);

impl Hasher for Address {
    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_usize(usize::from(*byte)));
    }

    fn write_usize(&mut self, address: usize) {
        // What tells statics apart is neither in the lowest nor in the highest bits, where the table looks.
        self.0 = (self.0.rotate_left(5) ^ address as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

/// Makes spans from records.
#[derive(Debug)]
pub(super) struct Converter {
    /// By address: call sites are statics.
    sites: HashMap<usize, SiteData, BuildHasherDefault<Address>>,
    code_attributes: bool,
}

impl Converter {
    pub(super) fn new(code_attributes: bool) -> Self {
        Self { sites: HashMap::default(), code_attributes }
    }

    /// Makes the span. `times` are the record's, converted, unless the span was given an end through the API.
    pub(super) fn span(&mut self, record: Record, details: Option<&Details>, times: Times) -> SpanData {
        let Record { site, trace, span, parent, flags, trace_flags, values, side, given, .. } = record;
        let with_code = self.code_attributes;
        let data =
            self.sites.entry(std::ptr::from_ref(site) as usize).or_insert_with(|| site_data(site, with_code));
        let mut side = side.map_or_else(Side::default, |side| *side);
        let details = details.or(side.details.as_ref());
        let given = given.zip(details.copied());

        let of_message = given.map_or(0, |(given, _)| given.most());
        let most = data.code.len() + of_message + site.keys.len() + side.attributes.len();
        let mut attributes = Vec::with_capacity(most);
        let limits = limits::current();
        if let Some((given, details)) = &given {
            given.add_start(details, &mut attributes);
        }
        for (key, value) in site.keys.iter().zip(values) {
            // What a record holds in place is cut here: it is small, or lives for ever.
            attributes.extend(value.into_value().map(|value| KeyValue::new(*key, limits.cut_value(value))));
        }
        if let Some((given, details)) = &given {
            let before = attributes.len();
            given.add_rest(details, &mut attributes);
            if limits.value_length.is_some() {
                for attribute in attributes.iter_mut().skip(before) {
                    attribute.value = limits.cut_value(attribute.value.clone());
                }
            }
        }
        for written in side.attributes.drain(..) {
            set(&mut attributes, written);
        }
        if flags & flag::CANCELLED != 0 {
            attributes.push(KeyValue::new("throughline.cancelled", true));
        }
        if flags & flag::PANICKED != 0 {
            set(&mut attributes, KeyValue::new("error.type", "panic"));
            if side.status != Status::Ok {
                side.status = Status::error("panicked");
            }
        }
        if times.adjusted {
            attributes.push(KeyValue::new("throughline.clock.adjusted", true));
        }
        attributes.extend(data.code.iter().map(|(key, word)| word.with_key(key)));
        let dropped = truncate(&mut attributes, limits) + side.dropped_attributes;

        let is_remote = parent != 0 && flags & flag::REMOTE_PARENT != 0;
        let mut events = SpanEvents::default();
        events.events = side.events;
        events.dropped_count = side.dropped_events;
        let mut links = SpanLinks::default();
        links.links = side.links;
        links.dropped_count = side.dropped_links;
        if given.is_some_and(|(_, details)| details.links_parent()) {
            // Sampling was decided by the parent, so flags and state are its own.
            let (flags, state) = (TraceFlags::new(trace_flags), side.trace_state.clone());
            let parent = SpanContext::new(
                trace_id(trace),
                SpanId::from(parent),
                flags,
                is_remote,
                state.unwrap_or(TraceState::NONE),
            );
            let parent = Link::with_context(parent);
            if links.links.is_empty() {
                // Room for one, where a list that grows has room for four.
                links.links = vec![parent];
            } else {
                links.links.insert(0, parent);
            }
            let most = limits.links as usize;
            links.dropped_count += u32::try_from(links.links.len().saturating_sub(most)).unwrap_or(u32::MAX);
            links.links.truncate(most);
        }

        let name = side.name.unwrap_or(Cow::Borrowed(given.map_or(site.name, |(given, _)| given.name())));
        SpanData {
            span_context: SpanContext::new(
                trace_id(trace),
                SpanId::from(span),
                TraceFlags::new(trace_flags),
                false,
                side.trace_state.unwrap_or(TraceState::NONE),
            ),
            parent_span_id: SpanId::from(parent),
            parent_span_is_remote: is_remote,
            span_kind: side.kind.unwrap_or(site.kind).into(),
            name,
            start_time: times.start,
            end_time: side.end_ns.map_or(times.end, |end_ns| system_time(end_ns).max(times.start)),
            attributes,
            dropped_attributes_count: dropped,
            events,
            links,
            status: side.status,
            instrumentation_scope: side.scope.unwrap_or_else(|| data.scope.clone()),
        }
    }
}

fn site_data(site: &'static Site, with_code: bool) -> SiteData {
    let mut code = Vec::new();
    if with_code && let Some(function) = site.function_name() {
        code.push(("code.function.name", Word::Text(function)));
        code.push(("code.file.path", Word::Text(site.file)));
        code.push(("code.line.number", Word::Number(i64::from(site.line))));
    }
    SiteData { scope: site.scope.to_instrumentation_scope(), code }
}

/// Sets an attribute; one of the same key is overwritten.
fn set(attributes: &mut Vec<KeyValue>, attribute: KeyValue) {
    match attributes.iter_mut().find(|existing| existing.key == attribute.key) {
        Some(existing) => *existing = attribute,
        None => attributes.push(attribute),
    }
}

fn truncate(attributes: &mut Vec<KeyValue>, limits: &SpanLimits) -> u32 {
    let over = attributes.len().saturating_sub(limits.attributes as usize);
    attributes.truncate(limits.attributes as usize);
    u32::try_from(over).unwrap_or(u32::MAX)
}
