//! `span!` in its three forms.

use throughline::opentelemetry::Value;
use throughline::opentelemetry::trace::SpanKind;
use throughline::{record, span, traced_span};

use super::support::{SpanDataExt as _, block_on, kind_of, spans_of, yield_once};

#[traced_span]
fn child() {}

#[test]
fn a_closure_gives_its_value_inside_the_span() {
    let (value, spans) = spans_of(|| {
        let n = 2;
        span!("load", fields(n, double = n * 2), kind = client, || {
            child();
            record!(late = true);
            n + 1
        })
    });
    assert_eq!(value, 3);
    spans.assert_child("child", "load");
    let span = spans.named("load");
    assert_eq!(span.value("double"), Some(Value::I64(4)));
    assert_eq!(span.value("late"), Some(Value::Bool(true)));
    assert_eq!(kind_of(span), SpanKind::Client);
}

#[test]
fn return_and_question_mark_leave_the_closure() {
    let (value, spans) = spans_of(|| -> Result<u8, std::num::ParseIntError> {
        let parsed = span!("parse", || -> Result<u8, std::num::ParseIntError> { Ok("x".parse::<u8>()? + 1) });
        assert!(parsed.is_err());
        Ok(1)
    });
    assert_eq!(value, Ok(1));
    assert!(spans.only().failed_with().is_some());
}

#[test]
fn a_future_is_one_span_over_all_polls() {
    let (value, spans) = spans_of(|| {
        block_on(async {
            let name = format!("fetch.{}", 1);
            span!(name = name, async {
                yield_once().await;
                child();
                yield_once().await;
                child();
                5
            })
            .await
        })
    });
    assert_eq!(value, 5);
    assert_eq!(spans.names(), ["fetch.1", "child", "child"]);
}

#[test]
fn a_future_can_be_spawned() {
    let ((), spans) = spans_of(|| {
        block_on(async {
            let task = tokio::spawn(span!("spawned", async {
                yield_once().await;
                child();
            }));
            task.await.unwrap();
        });
    });
    spans.assert_child("child", "spawned");
    assert_eq!(spans.named("spawned").parent_span_id, spans.parent.span_id());
}

#[test]
fn a_guard_ends_with_its_scope() {
    let ((), spans) = spans_of(|| {
        {
            let _span = span!("scan", fields(rows = 3));
            child();
        }
        child_after();
    });
    spans.assert_child("child", "scan");
    assert_eq!(spans.named("child_after").parent_span_id, spans.parent.span_id());
    assert_eq!(spans.named("scan").value("rows"), Some(Value::I64(3)));
}

#[traced_span]
fn child_after() {}

#[test]
fn the_function_around_it_is_named() {
    let ((), spans) = spans_of(|| span!("named", || ()));
    let function = spans.only().text("code.function.name").unwrap_or_default();
    assert_eq!(function, "spans::inline::the_function_around_it_is_named");
}
