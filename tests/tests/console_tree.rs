//! The tree that the console prints, compared character by character.

use std::time::{Duration, SystemTime};

use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanId, SpanKind, Status, TraceId};
use throughline::export::console::{Tree, TreeSpan};

const TRACE: u128 = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736;

fn at(micros: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_785_542_400) + Duration::from_micros(micros)
}

/// A span of the service, from and to in microseconds since the trace began.
fn span(id: u64, parent: u64, service: &str, name: &str, from: u64, to: u64) -> TreeSpan {
    let mut span = TreeSpan::new(TraceId::from(TRACE), SpanId::from(id), name);
    span.parent_span_id = SpanId::from(parent);
    service.clone_into(&mut span.service);
    span.start_time = at(from);
    span.end_time = at(to);
    span
}

fn with(mut span: TreeSpan, attributes: impl IntoIterator<Item = KeyValue>) -> TreeSpan {
    span.attributes.extend(attributes);
    span
}

fn failed(span: TreeSpan, kind: &'static str, description: &'static str) -> TreeSpan {
    let mut span = with(span, [KeyValue::new("error.type", kind)]);
    span.status = Status::error(description);
    span
}

fn of_kind(mut span: TreeSpan, kind: SpanKind) -> TreeSpan {
    span.kind = kind;
    span
}

/// A request through two services and a broker, in the order in which its spans end.
fn request() -> Vec<TreeSpan> {
    vec![
        of_kind(span(2, 1, "gateway", "send plans", 3_000, 9_100), SpanKind::Producer),
        with(
            span(1, 0, "gateway", "POST /plans", 0, 12_400),
            [KeyValue::new("http.response.status_code", 202)],
        ),
        with(
            span(4, 3, "worker", "planning.analyze_task", 31_000, 60_000),
            [KeyValue::new("task_id", "t-1")],
        ),
        failed(
            span(6, 5, "worker", "ollama.generate", 70_000, 118_000),
            "ollama::Error",
            "model `tiny` is not loaded",
        ),
        failed(span(5, 3, "worker", "execution.execute_step", 61_000, 120_000), "StepFailed", ""),
        of_kind(
            with(
                span(3, 2, "worker", "process plans", 30_000, 128_400),
                [KeyValue::new("throughline.messaging.queue_time_ms", 20.9)],
            ),
            SpanKind::Consumer,
        ),
    ]
}

#[test]
fn request_through_two_services_is_one_tree() {
    let expected = "\
trace 4bf92f3577b34da6a3ce929d0e0e4736  128 ms  6 spans  2 services  2 errors
POST /plans                      ██··················   12.4 ms  [gateway]  http.response.status_code=202
└─ send plans                    ██··················   6.10 ms  [gateway]
   └─ process plans              ····████████████████   98.4 ms  [worker]  20.9 ms in the broker
      ├─ planning.analyze_task   ····██████··········   29.0 ms  [worker]  task_id=t-1
      └─ execution.execute_step  ·········██████████·   59.0 ms  [worker]  error: StepFailed
         └─ ollama.generate      ··········█████████·   48.0 ms  [worker]  error: ollama::Error: model `tiny` is not loaded
";
    assert_eq!(Tree::new().render(&request()), expected);
}

#[test]
fn snapshot_has_neither_times_nor_ids() {
    let expected = "\
POST /plans  [gateway]  http.response.status_code=202
└─ send plans  [gateway]
   └─ process plans  [worker]
      ├─ planning.analyze_task  [worker]  task_id=t-1
      └─ execution.execute_step  [worker]  error: StepFailed
         └─ ollama.generate  [worker]  error: ollama::Error: model `tiny` is not loaded
";
    assert_eq!(Tree::snapshot().render(&request()), expected);
}

#[test]
fn errors_are_red_and_nothing_else_is() {
    let text = Tree::new().colour(true).render(&request());
    for line in text.lines() {
        assert_eq!(line.contains("\u{1b}[31m"), line.contains("error"), "{line:?}");
    }
    let opened = text.matches("\u{1b}[").count() - text.matches("\u{1b}[0m").count();
    assert_eq!(opened, text.matches("\u{1b}[0m").count(), "every colour is switched off again");
}

#[test]
fn single_service_is_named_once() {
    let spans = [span(1, 0, "planner", "planning.generate_plan", 0, 1_500)];
    assert_eq!(
        Tree::new().render(&spans),
        "trace 4bf92f3577b34da6a3ce929d0e0e4736  1.50 ms  1 span  planner\n\
         planning.generate_plan  ████████████████████   1.50 ms\n"
    );
}

#[test]
fn siblings_stand_in_the_order_of_their_start() {
    let spans =
        [span(4, 1, "", "third", 30, 31), span(2, 1, "", "first", 10, 90), span(3, 1, "", "second", 20, 21)];
    assert_eq!(Tree::snapshot().render(&spans), "first\nsecond\nthird\n");
}

#[test]
fn span_whose_parent_is_missing_is_shown_and_marked() {
    let spans =
        [span(1, 0, "", "root", 0, 100), span(3, 2, "", "lost", 10, 20), span(4, 3, "", "below", 11, 12)];
    assert_eq!(Tree::snapshot().render(&spans), "root\nlost  (its parent is missing)\n└─ below\n");
}

#[test]
fn part_of_a_trace_without_its_root_is_not_marked() {
    let spans = [span(2, 1, "", "process", 0, 100), span(3, 2, "", "step", 10, 20)];
    assert_eq!(Tree::snapshot().render(&spans), "process\n└─ step\n");
}

#[test]
fn circle_of_parents_and_repeated_ids_are_each_shown_once() {
    let spans = [
        span(1, 2, "", "a", 0, 1),
        span(2, 1, "", "b", 1, 2),
        span(3, 3, "", "own parent", 2, 3),
        span(4, 0, "", "twice", 3, 4),
        span(4, 0, "", "twice", 4, 5),
    ];
    let text = Tree::snapshot().render(&spans);
    assert_eq!(text.lines().count(), 5, "{text}");
}

#[test]
fn depth_beyond_what_fits_is_a_number() {
    let spans: Vec<_> = (1..=20_000).map(|id| span(id, id - 1, "", "n", id, 40_000 - id)).collect();
    let text = Tree::snapshot().render(&spans);
    assert_eq!(text.lines().count(), 20_000);
    assert!(text.lines().last().is_some_and(|line| line.starts_with("…19975 ")));
}

#[test]
fn text_from_outside_cannot_steer_the_terminal() {
    let spans = [with(
        failed(span(1, 0, "", "a\u{1b}[2Jb", 0, 1), "x\ry", "first\nsecond"),
        [KeyValue::new("note", "\u{202e}evil"), KeyValue::new("empty", ""), KeyValue::new("two", "a b")],
    )];
    assert_eq!(
        Tree::snapshot().render(&spans),
        "a\\u{1b}[2Jb  error: x\\ry: first\\nsecond  note=\\u{202e}evil empty=\"\" two=\"a b\"\n"
    );
}

#[test]
fn attributes_about_the_code_and_the_connection_are_left_out() {
    let attributes = [
        KeyValue::new("code.function.name", "plan::generate"),
        KeyValue::new("server.address", "127.0.0.1"),
        KeyValue::new("thread.id", 7),
        KeyValue::new("plan_id", 42),
        KeyValue::new("throughline.stream.items", 3),
    ];
    let spans = [with(span(1, 0, "", "plan", 0, 1), attributes)];
    assert_eq!(Tree::snapshot().render(&spans), "plan  plan_id=42 throughline.stream.items=3\n");
}

#[test]
fn cancelled_span_says_so() {
    let spans = [with(span(1, 0, "", "plan", 0, 1), [KeyValue::new("throughline.cancelled", true)])];
    assert_eq!(Tree::snapshot().render(&spans), "plan  cancelled\n");
}

#[test]
fn several_traces_are_several_trees() {
    let mut other = span(9, 0, "", "later", 50, 60);
    other.trace_id = TraceId::from(7_u128);
    let text = Tree::new().times(false).render(&[other, span(1, 0, "", "earlier", 0, 10)]);
    assert_eq!(
        text,
        "trace 4bf92f3577b34da6a3ce929d0e0e4736  1 span\nearlier\n\
         trace 00000000000000000000000000000007  1 span\nlater\n"
    );
}

#[test]
fn nothing_is_drawn_as_nothing() {
    assert_eq!(Tree::new().render(&[]), "");
}
