//! Field values: types, order, laziness, and nothing that was not named.

use std::cell::Cell;
use std::rc::Rc;

use throughline::opentelemetry::{Array, Context, Value};
use throughline::{FieldValue, ToValue, record, traced_span};

use super::support::{SpanDataExt as _, block_on, spans_of};

struct OrderId(u32);

impl ToValue for OrderId {
    fn to_value(&self) -> FieldValue {
        self.0.to_value()
    }
}

const TENANT: &str = "app.tenant";

#[traced_span(fields(id, small, big, ratio, flag, text, static_text, letter, own, a.b = id.0 + 1, "x y" = "literal", {TENANT} = %small))]
#[allow(clippy::too_many_arguments)]
fn every_type(
    id: OrderId,
    small: u8,
    big: u64,
    ratio: f64,
    flag: bool,
    text: &str,
    static_text: &'static str,
    letter: char,
    own: String,
    not_named: u8,
) {
    drop((id, small, big, ratio, flag, text, static_text, letter, own, not_named));
}

// paradigmxyz/reth#22207: a bare name records the parameter. tracing-opentelemetry#267: numbers stay numbers.
#[test]
fn values_keep_their_types() {
    let ((), spans) = spans_of(|| {
        every_type(OrderId(7), 1, u64::MAX, 0.5, true, "text", "static", 'c', "own".to_owned(), 9);
    });
    let span = spans.only();
    assert_eq!(span.value("id"), Some(Value::I64(7)));
    assert_eq!(span.value("small"), Some(Value::I64(1)));
    // tokio-rs/tracing#3104: what does not fit into i64 is its decimal string.
    assert_eq!(span.text("big"), Some(u64::MAX.to_string()));
    assert_eq!(span.value("ratio"), Some(Value::F64(0.5)));
    assert_eq!(span.value("flag"), Some(Value::Bool(true)));
    assert_eq!(span.text("text").as_deref(), Some("text"));
    assert_eq!(span.text("static_text").as_deref(), Some("static"));
    assert_eq!(span.text("letter").as_deref(), Some("c"));
    assert_eq!(span.text("own").as_deref(), Some("own"));
    assert_eq!(span.value("a.b"), Some(Value::I64(8)));
    assert_eq!(span.text("x y").as_deref(), Some("literal"));
    assert_eq!(span.text("app.tenant").as_deref(), Some("1"));
}

// tokio-rs/tracing#651 #754 #1306 #2714 #3402: nothing is recorded unless named.
#[test]
fn a_parameter_that_is_not_named_is_not_recorded() {
    let ((), spans) = spans_of(|| every_type(OrderId(7), 1, 2, 0.5, true, "", "", 'c', String::new(), 9));
    assert_eq!(spans.only().value("not_named"), None);
}

#[traced_span(fields(some, none, list, words, ?debugged, len = list.len()))]
async fn collections(
    some: Option<u8>,
    none: Option<&str>,
    list: Vec<i64>,
    words: &[&str],
    debugged: Option<()>,
) {
    drop((some, none, list, words, debugged));
}

#[test]
fn none_is_left_out_and_arrays_have_a_type() {
    let ((), spans) = spans_of(|| block_on(collections(Some(1), None, vec![1, 2], &["a"], None)));
    let span = spans.only();
    assert_eq!(span.value("some"), Some(Value::I64(1)));
    assert_eq!(span.value("none"), None);
    assert_eq!(span.value("list"), Some(Value::Array(Array::I64(vec![1, 2]))));
    assert_eq!(span.value("words"), Some(Value::Array(Array::String(vec!["a".into()]))));
    assert_eq!(span.text("debugged").as_deref(), Some("None"));
    assert_eq!(span.value("len"), Some(Value::I64(2)));
}

#[traced_span(fields(value = calls.replace(calls.get() + 1)))]
fn counts_evaluations(calls: &Rc<Cell<u32>>) -> u32 {
    calls.get()
}

#[test]
fn values_are_evaluated_once_before_the_body_and_only_if_recorded() {
    let calls = Rc::new(Cell::new(0));
    let (seen, spans) = spans_of(|| counts_evaluations(&calls));
    assert_eq!((seen, calls.get()), (1, 1));
    assert_eq!(spans.only().value("value"), Some(Value::I64(0)));
    // Under a parent that is not sampled nothing is recorded.
    use throughline::opentelemetry::trace::{SpanContext, TraceContextExt as _, TraceFlags};
    let parent = super::support::new_parent();
    let unsampled = SpanContext::new(
        parent.trace_id(),
        parent.span_id(),
        TraceFlags::default(),
        true,
        parent.trace_state().clone(),
    );
    let attached = Context::new().with_remote_span_context(unsampled).attach();
    assert_eq!(counts_evaluations(&calls), 1);
    drop(attached);
}

#[traced_span]
async fn records(id: u64) {
    super::support::yield_once().await;
    record!(id, later = Some(id), none = None::<u8>);
}

#[traced_span]
fn records_twice() {
    record!("key" = 1);
    record!("key" = "second", {TENANT} = ?Some(1));
}

#[test]
fn record_needs_no_declaration_and_overwrites() {
    let ((), spans) = spans_of(records_twice);
    assert_eq!(spans.only().text("key").as_deref(), Some("second"));
    assert_eq!(spans.only().text("app.tenant").as_deref(), Some("Some(1)"));
}

#[test]
fn record_works_after_an_await() {
    let ((), spans) = spans_of(|| block_on(records(3)));
    assert_eq!(spans.only().value("id"), Some(Value::I64(3)));
    assert_eq!(spans.only().value("later"), Some(Value::I64(3)));
    assert_eq!(spans.only().value("none"), None);
}
