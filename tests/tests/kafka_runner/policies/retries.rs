//! Attempts of one record: how many, which, and what the trace shows of them (kafka.md K-9, F-M5).

use std::fmt;
use std::time::Duration;

use opentelemetry::Value;
use opentelemetry::trace::Status;
use throughline::kafka::{Attempt, Backoff, Record, RetryErrors, RunError, State};

use super::support::{
    Broker, Seen, WAIT, attribute, fast, is_error, links, named, processed, soon, spans, text, value,
};

#[derive(Debug)]
struct Declined {
    transient: bool,
}

impl fmt::Display for Declined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the card was declined")
    }
}

impl Declined {
    fn is_transient(&self) -> bool {
        self.transient
    }
}

/// Fails until the fourth call.
async fn heals(order: Record, State(seen): State<Seen>) -> Result<(), Declined> {
    match seen.note(value(&order)) {
        1..=3 => Err(Declined { transient: true }),
        _ => Ok(()),
    }
}

#[tokio::test]
async fn a_record_that_fails_three_times_and_heals_is_one_trace_without_an_error() {
    let broker = Broker::start();
    let seen = Seen::default();
    let trace = broker.send(0, &["a"]).await[0];
    let runner = broker.consumer().state(seen.clone()).start(heals).unwrap();
    seen.reaches(4).await;
    let report = runner.close(WAIT).await.unwrap();
    assert_eq!((report.handled, report.retries), (1, 3));
    assert_eq!(broker.committed(0), Some(1));

    let spans = spans(trace);
    let send = named(&spans, "send orders");
    let attempts = processed(&spans);
    assert_eq!(attempts.len(), 4);
    let mut before = None;
    for (number, span) in (1..).zip(attempts) {
        assert_eq!(span.name, "process orders");
        assert_eq!(attribute(span, "throughline.messaging.delivery_attempt"), Some(Value::I64(number)));
        // Each is a child of the sender, linked to it (C-1) and to the attempt before.
        assert_eq!(span.parent_span_id, send.span_context.span_id());
        let expected: Vec<_> = [Some(send.span_context.span_id()), before].into_iter().flatten().collect();
        assert_eq!(links(span), expected);
        assert_eq!(span.status, Status::Unset);
        let retried = text(span, "throughline.messaging.retried_error");
        assert_eq!(retried.is_some(), number < 4, "attempt {number}");
        assert!(retried.is_none_or(|error| error.ends_with("Declined")));
        assert!(attribute(span, "error.type").is_none());
        assert_eq!(text(span, "messaging.consumer.group.name").as_deref(), Some("billing"));
        assert_eq!(text(span, "messaging.client.id").as_deref(), Some("billing-1"));
        assert_eq!(text(span, "messaging.kafka.message.key").as_deref(), Some("order-7"));
        assert_eq!(attribute(span, "messaging.kafka.offset"), Some(Value::I64(0)));
        before = Some(span.span_context.span_id());
    }
}

#[tokio::test]
async fn every_failed_attempt_is_an_error_if_asked_for() {
    let broker = Broker::start();
    let seen = Seen::default();
    let trace = broker.send(0, &["a"]).await[0];
    let consumer = broker.consumer().retry_errors(RetryErrors::Every).state(seen.clone());
    let runner = consumer.start(heals).unwrap();
    seen.reaches(4).await;
    runner.close(WAIT).await.unwrap();
    let spans = spans(trace);
    let errors: Vec<_> = processed(&spans).into_iter().map(is_error).collect();
    assert_eq!(errors, [true, true, true, false]);
}

#[tokio::test]
async fn the_handler_is_told_which_attempt_it_is() {
    let broker = Broker::start();
    let seen = Seen::default();
    broker.send(0, &["a"]).await;
    let handler = |_: Record, State(seen): State<Seen>, attempt: Attempt| async move {
        seen.note(format!("{} of {} {}", attempt.number(), attempt.max(), attempt.is_last()));
        if attempt.is_last() { Ok(()) } else { Err("again") }
    };
    let runner = broker.consumer().retry(fast().attempts(3)).state(seen.clone()).start(handler).unwrap();
    assert_eq!(seen.reaches(3).await, ["1 of 3 false", "2 of 3 false", "3 of 3 true"]);
    runner.close(WAIT).await.unwrap();
}

/// K-3: the next record starts when the one before is finished, retries included.
#[tokio::test]
async fn retries_keep_the_order_of_the_partition() {
    let broker = Broker::start();
    let seen = Seen::default();
    broker.send(0, &["a", "b", "c"]).await;
    let handler = |order: Record, State(seen): State<Seen>, attempt: Attempt| async move {
        seen.note(value(&order));
        if value(&order) == "b" && !attempt.is_last() { Err("again") } else { Ok(()) }
    };
    let runner = broker.consumer().retry(fast().attempts(3)).state(seen.clone()).start(handler).unwrap();
    assert_eq!(seen.reaches(5).await, ["a", "b", "b", "b", "c"]);
    runner.close(WAIT).await.unwrap();
}

#[tokio::test]
async fn an_error_that_is_not_transient_is_not_tried_again() {
    let broker = Broker::start();
    let seen = Seen::default();
    broker.send(0, &["a"]).await;
    let handler = |order: Record, State(seen): State<Seen>| async move {
        seen.note(value(&order));
        Err::<(), _>(Declined { transient: false })
    };
    let consumer =
        broker.consumer().retry(fast().when(Declined::is_transient)).dead_letter(super::support::DEAD);
    let runner = consumer.state(seen.clone()).start(handler).unwrap();
    broker.read(super::support::DEAD, 0, 1).await;
    let report = runner.close(WAIT).await.unwrap();
    assert_eq!(seen.all(), ["a"]);
    assert_eq!((report.dead_lettered, report.retries), (1, 0));
}

#[tokio::test]
async fn a_predicate_on_another_error_type_does_not_start() {
    let broker = Broker::start();
    let handler = |_: Record| async { Err::<(), _>("no") };
    let error =
        broker.consumer().retry(Backoff::new().when(Declined::is_transient)).start(handler).unwrap_err();
    assert!(matches!(&error, RunError::Setting { setting: "retry", .. }), "{error}");
    assert!(error.to_string().contains("the handler's error is `&str`"), "{error}");
}

/// F-L1: a retry wait does not outlive the close, and what it waited for is delivered again.
#[tokio::test]
async fn a_wait_ends_when_the_consumer_closes() {
    let broker = Broker::start();
    let seen = Seen::default();
    let trace = broker.send(0, &["a"]).await[0];
    let handler = |order: Record, State(seen): State<Seen>| async move {
        seen.note(value(&order));
        Err::<(), _>("again")
    };
    let hour = Duration::from_secs(3600);
    let retry = Backoff::new().initial(hour).max(hour).jitter(false);
    let runner = broker.consumer().retry(retry).state(seen.clone()).start(handler).unwrap();
    seen.reaches(1).await;
    let report = soon(runner.close(hour)).await.unwrap();
    assert_eq!((report.handled, report.retries), (0, 0));
    assert_eq!(broker.committed(0), None);
    // It may heal with the next delivery.
    assert!(!is_error(processed(&spans(trace))[0]));
}
