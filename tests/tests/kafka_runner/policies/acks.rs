//! `commit(manual())`: a record is finished when its handler says so.

use std::sync::{Arc, Mutex};

use throughline::kafka::{Ack, CommitError, Record, RunError, State, manual, per_record};

use super::support::{Broker, Seen, WAIT, named, processed, spans, text, until, value};

#[tokio::test]
async fn an_ack_that_is_dropped_undone_is_an_error_and_the_record_is_tried_again() {
    let broker = Broker::start();
    let seen = Seen::default();
    let trace = broker.send(0, &["a", "b"]).await[0];
    let handler = |order: Record, State(seen): State<Seen>, ack: Ack| async move {
        if seen.note(value(&order)) > 1 {
            ack.done();
        }
    };
    let runner = broker.consumer().commit(manual()).state(seen.clone()).start(handler).unwrap();
    assert_eq!(seen.reaches(3).await, ["a", "a", "b"]);
    let report = runner.close(WAIT).await.unwrap();
    assert_eq!((report.handled, report.retries), (2, 1));
    assert_eq!(broker.committed(0), Some(2));
    let spans = spans(trace);
    let retried = text(processed(&spans)[0], "throughline.messaging.retried_error");
    assert_eq!(retried.as_deref(), Some("ack_dropped"));
}

#[tokio::test]
async fn an_ack_may_be_done_after_the_handler_has_returned() {
    let broker = Broker::start();
    let seen = Seen::default();
    broker.send(0, &["a", "b"]).await;
    let kept = Arc::new(Mutex::new(Vec::new()));
    let handler = {
        let kept = Arc::clone(&kept);
        move |order: Record, State(seen): State<Seen>, ack: Ack| {
            kept.lock().unwrap().push(ack);
            seen.note(value(&order));
        }
    };
    let runner = broker.consumer().commit(manual()).state(seen.clone()).start(handler).unwrap();
    seen.reaches(1).await;
    assert_eq!(broker.committed(0), None);
    let ack = kept.lock().unwrap().pop().unwrap();
    ack.done();
    // The order holds: the second record comes when the first is done.
    assert_eq!(seen.reaches(2).await, ["a", "b"]);
    until(|| broker.committed(0) == Some(1)).await;
    let ack = kept.lock().unwrap().pop().unwrap();
    ack.commit().await.unwrap();
    assert_eq!(broker.committed(0), Some(2));
    runner.close(WAIT).await.unwrap();
}

#[tokio::test]
async fn an_ack_of_a_consumer_that_is_gone_commits_nothing() {
    let broker = Broker::start();
    let seen = Seen::default();
    broker.send(0, &["a"]).await;
    let kept = Arc::new(Mutex::new(None));
    let handler = {
        let kept = Arc::clone(&kept);
        move |order: Record, State(seen): State<Seen>, ack: Ack| {
            *kept.lock().unwrap() = Some(ack);
            seen.note(value(&order));
        }
    };
    let consumer = broker.consumer().commit(manual()).drain(std::time::Duration::ZERO);
    let runner = consumer.state(seen.clone()).start(handler).unwrap();
    seen.reaches(1).await;
    runner.close(WAIT).await.unwrap();
    let ack = kept.lock().unwrap().take().unwrap();
    assert!(matches!(ack.commit().await, Err(CommitError::Revoked)));
    assert_eq!(broker.committed(0), None);
}

#[tokio::test]
async fn acks_and_manual_commits_belong_together() {
    let broker = Broker::start();
    let error = broker.consumer().commit(manual()).start(|_: Record| async {}).unwrap_err();
    assert!(matches!(error, RunError::Setting { setting: "commit", .. }), "{error}");
    let error = broker.consumer().start(|_: Record, ack: Ack| async { ack.done() }).unwrap_err();
    assert!(error.to_string().contains("write `.commit(manual())`"), "{error}");
}

/// C-3: a commit on behalf of a handler is a child of its process span.
#[tokio::test]
async fn commits_of_single_records_belong_to_their_process_spans() {
    let broker = Broker::start();
    let trace = broker.send(0, &["a"]).await[0];
    let runner = broker.consumer().commit(per_record()).start(|_: Record| async {}).unwrap();
    until(|| broker.committed(0) == Some(1)).await;
    runner.close(WAIT).await.unwrap();
    let of_records = spans(trace);
    let process = processed(&of_records)[0].span_context.span_id();
    assert_eq!(named(&of_records, "commit orders").parent_span_id, process);

    let trace = broker.send(0, &["b"]).await[0];
    let handler = |_: Record, ack: Ack| async { ack.commit().await };
    let runner = broker.consumer().commit(manual()).start(handler).unwrap();
    until(|| broker.committed(0) == Some(2)).await;
    runner.close(WAIT).await.unwrap();
    let of_acks = spans(trace);
    let process = processed(&of_acks)[0].span_context.span_id();
    assert_eq!(named(&of_acks, "commit orders").parent_span_id, process);
}
