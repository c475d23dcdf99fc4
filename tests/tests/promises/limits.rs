//! Limits on what one span may carry hold for annotated functions and for the spans of others.

use throughline::opentelemetry::trace::{
    Event, Link, Span as _, SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState,
    Tracer as _,
};
use throughline::opentelemetry::{Array, Context, KeyValue, StringValue, Value, global};
use throughline::{SpanLimits, traced_span};

use super::alone::{FAR, SpanData, alone, install, named, setup, value};

fn few() -> SpanLimits {
    let mut limits = SpanLimits::DEFAULT;
    limits.attributes = 5;
    limits.events = 2;
    limits.links = 2;
    limits.attributes_per_event = 1;
    limits.attributes_per_link = 1;
    limits.value_length = Some(4);
    limits
}

fn somewhere(number: u64) -> SpanContext {
    SpanContext::new(
        TraceId::from(u128::from(number)),
        SpanId::from(number),
        TraceFlags::SAMPLED,
        true,
        TraceState::NONE,
    )
}

fn strings(texts: [&'static str; 2]) -> Value {
    Value::Array(Array::String(texts.map(StringValue::from).into()))
}

fn two_attributes() -> Vec<KeyValue> {
    vec![KeyValue::new("first", "ABCDEFG"), KeyValue::new("second", "x")]
}

fn links() -> Vec<Link> {
    (1..=3).map(|number| Link::new(somewhere(number), two_attributes(), 0)).collect()
}

#[traced_span("ours", fields(literal, owned, number), links = links())]
fn ours(literal: &'static str, owned: &str, number: i64) {
    let _ = (literal, owned, number);
    throughline::set_attribute("list", strings(["äöüßé", "b"]));
    Context::current().span().set_attribute(KeyValue::new("through.otel", "ABCDEFG"));
    for number in 0..4 {
        throughline::set_attribute(format!("more.{number}"), "ABCDEFG");
        throughline::add_event("event", two_attributes());
    }
    throughline::add_link(somewhere(9));
}

fn foreign() {
    let mut span =
        global::tracer("theirs").span_builder("foreign").with_links(links()).start(&global::tracer("theirs"));
    for number in 0..9 {
        span.set_attribute(KeyValue::new(format!("more.{number}"), "ABCDEFG"));
        span.add_event("event", two_attributes());
    }
    span.end();
}

fn assert_within(span: &SpanData) {
    assert_eq!(span.attributes.len(), 5, "{span:?}");
    assert!(span.dropped_attributes_count > 0);
    assert_eq!(span.events.events.len(), 2);
    assert!(span.events.dropped_count >= 2);
    assert_eq!(span.links.links.len(), 2);
    assert!(span.links.dropped_count >= 1);
    let is_cut = |attribute: &KeyValue| match &attribute.value {
        Value::String(text) => text.as_str().chars().count() <= 4,
        _ => true,
    };
    assert!(span.attributes.iter().all(is_cut), "{:?}", span.attributes);
    for Event { attributes, dropped_attributes_count, .. } in &span.events.events {
        assert_eq!((attributes.len(), *dropped_attributes_count), (1, 1));
        assert!(attributes.iter().all(is_cut), "{attributes:?}");
    }
    for link in &span.links.links {
        assert_eq!((link.attributes.len(), link.dropped_attributes_count), (1, 1));
        assert!(link.attributes.iter().all(is_cut), "{:?}", link.attributes);
    }
}

const HALF: usize = 200 << 10;

#[traced_span("huge", fields(first, second, small))]
fn huge(first: &str, second: &str, small: i64) {
    throughline::set_attribute("third", first.to_owned());
    throughline::set_attribute("little", second.len() as i64 + small);
    throughline::add_event("event", [KeyValue::new("value", first.to_owned())]);
}

fn bytes(span: &SpanData) -> usize {
    let attributes =
        span.attributes.iter().chain(span.events.events.iter().flat_map(|event| &event.attributes));
    attributes.map(|attribute| attribute.value.as_str().len()).sum::<usize>() + span.name.len()
}

alone! {
    fn counts_and_lengths_hold_for_all_spans() {
        let (telemetry, kept) = install(setup().limits(few()));
        ours("ABCDEFG", "ABCDEFG", 123_456_789);
        foreign();
        assert!(telemetry.flush(FAR).is_complete());
        let spans = kept.spans();
        let span = named(&spans, "ours");
        assert_within(span);
        assert_eq!(value(span, "literal"), Some("ABCD".into()));
        assert_eq!(value(span, "owned"), Some("ABCD".into()));
        assert_eq!(value(span, "number"), Some(123_456_789.into()));
        assert_eq!(value(span, "list"), Some(strings(["äöüß", "b"])));
        assert_within(named(&spans, "foreign"));
    }

    /// One runaway value must not push everybody else's spans out of the queue.
    fn span_owns_a_quarter_of_a_mebibyte_at_most() {
        let (telemetry, kept) = install(setup());
        let value_of_half = "x".repeat(HALF);
        huge(&value_of_half, &value_of_half, 1);
        global::tracer("theirs").in_span("foreign", |cx| {
            cx.span().set_attribute(KeyValue::new("first", value_of_half.clone()));
            cx.span().set_attribute(KeyValue::new("second", value_of_half.clone()));
            cx.span().set_attribute(KeyValue::new("little", 1));
        });
        assert!(telemetry.flush(FAR).is_complete());
        let spans = kept.spans();
        for name in ["huge", "foreign"] {
            let span = named(&spans, name);
            assert!(bytes(span) <= 256 << 10, "{name}: {}", bytes(span));
            assert!(bytes(span) >= HALF, "{name} keeps what fits: {}", bytes(span));
            assert!(value(span, "little").is_some(), "{name} keeps what is small");
            assert!(span.dropped_attributes_count > 0, "{name}");
        }
    }

    fn span_that_stays_too_large_is_counted_and_dropped() {
        let (telemetry, kept) = install(setup());
        {
            let _guard = throughline::span!("a");
            throughline::update_name("x".repeat(300 << 10));
        }
        global::tracer("theirs").in_span("x".repeat(300 << 10), |_| ());
        let report = telemetry.flush(FAR);
        assert_eq!((report.ended, report.dropped.too_large), (2, 2), "{report}");
        assert!(kept.spans().is_empty());
    }
}
