//! Poison, panics, handlers that hang, and what the policies make of them (kafka.md K-8, K-13, F-M5).

use std::error::Error as _;
use std::time::Duration;

use opentelemetry::Value;
use opentelemetry::trace::Status;
use throughline::kafka::{
    ConsumedMessage, DecodeError, EncodeError, KafkaMessage, OnFailure, OnPanic, Record, RunError, State,
};

use super::support::{
    Broker, DEAD, Seen, WAIT, attribute, fast, is_error, links, processed, soon, spans, text, until, value,
};

/// A message that is a number.
struct Amount(u64);

impl KafkaMessage for Amount {
    const TOPIC: &'static str = super::support::TOPIC;

    fn to_record(&self) -> Result<Record, EncodeError> {
        Ok(Record::to(Self::TOPIC).with_value(self.0.to_string()))
    }

    fn from_message<M: ConsumedMessage + ?Sized>(message: &M) -> Result<Self, DecodeError> {
        let text = String::from_utf8_lossy(message.value().unwrap_or_default()).into_owned();
        assert!(text != "panic", "a codec that panics");
        text.parse().map(Amount).map_err(|error| DecodeError::Value { source: Box::new(error) })
    }
}

async fn add(amount: Record<Amount>, State(seen): State<Seen>) -> Result<(), String> {
    seen.note(amount.value().0.to_string());
    Ok(())
}

async fn add_plain(Amount(amount): Amount, State(seen): State<Seen>) {
    seen.note(amount.to_string());
}

#[tokio::test]
async fn a_poisoned_record_goes_to_the_dead_letters_and_the_handler_never_sees_it() {
    let broker = Broker::start();
    let seen = Seen::default();
    let traces = broker.send(0, &["1", "poison", "2"]).await;
    let runner = broker.consumer().dead_letter(DEAD).state(seen.clone()).start(add).unwrap();
    let letter = broker.read(DEAD, 0, 1).await.remove(0);
    assert_eq!(seen.reaches(2).await, ["1", "2"]);
    let report = runner.close(WAIT).await.unwrap();
    assert_eq!((report.handled, report.dead_lettered, report.decode_errors, report.retries), (2, 1, 1, 0));
    assert_eq!(broker.committed(0), Some(3));
    assert_eq!(letter.value.as_deref(), Some(&b"poison"[..]));
    assert_eq!(letter.text("throughline.error.type"), Some("DecodeError::Value"));
    assert_eq!(letter.text("__dlq.errors.delivery.count"), Some("1"));
    assert!(letter.text("__dlq.errors.message").unwrap().contains("invalid digit found in string"));
    let spans = spans(traces[1]);
    let [process] = processed(&spans)[..] else { panic!("one attempt: {spans:#?}") };
    assert_eq!(text(process, "error.type").as_deref(), Some("DecodeError::Value"));
    assert!(is_error(process));
}

#[tokio::test]
async fn handlers_take_the_message_itself_and_a_codec_that_panics_is_poison() {
    let broker = Broker::start();
    let seen = Seen::default();
    broker.send(0, &["1", "panic", "2"]).await;
    let consumer = broker.consumer().on_decode_error(OnFailure::Skip).state(seen.clone());
    let runner = consumer.start(add_plain).unwrap();
    assert_eq!(seen.reaches(2).await, ["1", "2"]);
    let report = runner.close(WAIT).await.unwrap();
    assert_eq!((report.handled, report.skipped, report.decode_errors, report.panics), (2, 1, 1, 0));
    assert_eq!(broker.committed(0), Some(3));
}

/// In a batch, the poisoned record is taken out and the others are handled.
#[tokio::test]
async fn a_poisoned_record_does_not_take_its_batch_along() {
    let broker = Broker::start();
    let seen = Seen::default();
    broker.send(0, &["1", "poison", "2", "3"]).await;
    let handler = |batch: Vec<Record<Amount>>, State(seen): State<Seen>| async move {
        for amount in batch {
            seen.note(amount.value().0.to_string());
        }
    };
    let consumer = broker.consumer().dead_letter(DEAD).batch(4, Duration::from_secs(5)).state(seen.clone());
    let runner = consumer.start(handler).unwrap();
    assert_eq!(seen.reaches(3).await, ["1", "2", "3"]);
    let letter = broker.read(DEAD, 0, 1).await.remove(0);
    assert_eq!(letter.value.as_deref(), Some(&b"poison"[..]));
    let report = runner.close(WAIT).await.unwrap();
    assert_eq!((report.handled, report.dead_lettered, report.decode_errors), (3, 1, 1));
    assert_eq!(broker.committed(0), Some(4));
}

/// A batch that stops at a poisoned record finishes those before it, and nothing after.
#[tokio::test]
async fn a_batch_that_halts_finishes_what_is_before_the_poison() {
    let broker = Broker::start();
    let seen = Seen::default();
    broker.send(0, &["1", "2", "poison", "3"]).await;
    let handler = |batch: Vec<Record<Amount>>, State(seen): State<Seen>| async move {
        for amount in batch {
            seen.note(amount.value().0.to_string());
        }
    };
    let consumer = broker.consumer().batch(4, Duration::from_secs(5)).state(seen.clone());
    let runner = consumer.start(handler).unwrap();
    until(|| !runner.health().halted.is_empty()).await;
    assert_eq!(seen.all(), ["1", "2"]);
    assert_eq!(runner.close(WAIT).await.unwrap().handled, 2);
    assert_eq!(broker.committed(0), Some(2));
}

#[tokio::test]
async fn a_batch_is_one_span_that_links_to_every_sender_and_is_retried_whole() {
    let broker = Broker::start();
    let seen = Seen::default();
    let traces = broker.send(0, &["a", "b", "c"]).await;
    let handler = |batch: Vec<Record>, State(seen): State<Seen>| async move {
        let calls = seen.note(batch.iter().map(value).collect::<String>());
        let trace = throughline::trace_id().unwrap();
        seen.note(trace);
        if calls == 1 { Err("again") } else { Ok(()) }
    };
    let consumer = broker.consumer().batch(3, Duration::from_secs(5)).state(seen.clone());
    let runner = consumer.start(handler).unwrap();
    let noted = seen.reaches(4).await;
    let report = runner.close(WAIT).await.unwrap();
    assert_eq!((report.handled, report.retries), (3, 1));
    assert_eq!((noted[0].as_str(), noted[2].as_str()), ("abc", "abc"));
    // C-4: a batch has no creation context as its parent, so each attempt is a root, linked to the one before.
    let attempt = |trace: &str| spans(opentelemetry::TraceId::from_hex(trace).unwrap()).remove(0);
    let (first, second) = (attempt(&noted[1]), attempt(&noted[3]));
    let sent: Vec<_> = traces
        .iter()
        .map(|trace| super::support::named(&spans(*trace), "send orders").span_context.span_id())
        .collect();
    assert_eq!(links(&first), sent);
    assert_eq!(links(&second), [sent, vec![first.span_context.span_id()]].concat());
    assert_eq!(attribute(&second, "messaging.batch.message_count"), Some(Value::I64(3)));
    assert_eq!(attribute(&second, "throughline.messaging.delivery_attempt"), Some(Value::I64(2)));
    assert_eq!((&first.status, &second.status), (&Status::Unset, &Status::Unset));
    let of_link = &first.links.links[1].attributes;
    assert!(
        of_link.iter().any(|kv| kv.key.as_str() == "messaging.kafka.offset" && kv.value == Value::I64(1))
    );
    assert!(of_link.iter().any(|kv| kv.key.as_str() == "throughline.messaging.queue_time_ms"));
}

#[tokio::test]
async fn a_panic_is_the_attempts_error() {
    let broker = Broker::start();
    let seen = Seen::default();
    let trace = broker.send(0, &["a"]).await[0];
    let handler = |order: Record, State(seen): State<Seen>| async move {
        assert!(seen.note(value(&order)) > 2, "not ready");
    };
    let runner = broker.consumer().state(seen.clone()).start(handler).unwrap();
    seen.reaches(3).await;
    let report = runner.close(WAIT).await.unwrap();
    assert_eq!((report.handled, report.retries, report.panics), (1, 2, 2));
    let spans = spans(trace);
    let retried: Vec<_> =
        processed(&spans).iter().map(|span| text(span, "throughline.messaging.retried_error")).collect();
    assert_eq!(retried, [Some("panic".to_owned()), Some("panic".to_owned()), None]);
}

#[tokio::test]
async fn a_panic_on_a_blocking_thread_is_one_too_and_has_a_word_of_its_own() {
    let broker = Broker::start();
    let trace = broker.send(0, &["a"]).await[0];
    #[allow(clippy::needless_pass_by_value, reason = "what a handler looks like")]
    fn handler(order: Record) {
        assert!(value(&order) != "a", "never an a");
        drop(order);
    }
    let runner = broker.consumer().on_panic(OnFailure::DeadLetter).dead_letter(DEAD).start(handler).unwrap();
    let letter = broker.read(DEAD, 0, 1).await.remove(0);
    let report = runner.close(WAIT).await.unwrap();
    assert_eq!((report.dead_lettered, report.retries, report.panics), (1, 0, 1));
    assert_eq!(letter.text("throughline.error.type"), Some("panic"));
    assert!(letter.text("__dlq.errors.message").unwrap().starts_with("panicked: never an a"));
    let spans = spans(trace);
    assert_eq!(text(processed(&spans)[0], "error.type").as_deref(), Some("panic"));
}

#[tokio::test]
async fn a_handler_that_hangs_is_given_up_and_tried_again() {
    let broker = Broker::start();
    let seen = Seen::default();
    let trace = broker.send(0, &["a", "b"]).await[0];
    let handler = |order: Record, State(seen): State<Seen>| async move {
        if seen.note(value(&order)) == 1 {
            std::future::pending::<()>().await;
        }
    };
    let consumer = broker.consumer().timeout(Duration::from_millis(50)).on_panic(OnPanic::Retry);
    let runner = consumer.state(seen.clone()).start(handler).unwrap();
    assert_eq!(seen.reaches(3).await, ["a", "a", "b"]);
    let report = runner.close(WAIT).await.unwrap();
    assert_eq!((report.handled, report.retries), (2, 1));
    let spans = spans(trace);
    let retried = text(processed(&spans)[0], "throughline.messaging.retried_error");
    assert_eq!(retried.as_deref(), Some("timeout"));
}

#[tokio::test]
async fn skipped_records_are_counted_and_the_span_says_what_was_wrong() {
    let broker = Broker::start();
    let seen = Seen::default();
    let trace = broker.send(0, &["a", "b"]).await[0];
    let handler = |order: Record, State(seen): State<Seen>| async move {
        seen.note(value(&order));
        if value(&order) == "a" { Err("no a") } else { Ok(()) }
    };
    let consumer = broker.consumer().retry(fast().attempts(2)).on_exhausted(OnFailure::Skip);
    let runner = consumer.state(seen.clone()).start(handler).unwrap();
    assert_eq!(seen.reaches(3).await, ["a", "a", "b"]);
    let report = runner.close(WAIT).await.unwrap();
    assert_eq!((report.handled, report.skipped), (1, 1));
    assert_eq!(broker.committed(0), Some(2));
    let spans = spans(trace);
    assert_eq!(processed(&spans)[1].status, Status::error("no a"));
}

#[tokio::test]
async fn a_halted_partition_stops_and_the_others_flow() {
    let broker = Broker::with(2, None);
    let seen = Seen::default();
    broker.send(0, &["good", "bad", "never"]).await;
    broker.send(1, &["other"]).await;
    let handler = |order: Record, State(seen): State<Seen>| async move {
        seen.note(value(&order));
        if value(&order) == "bad" { Err("no card") } else { Ok(()) }
    };
    // Without a dead-letter topic, halt is the default.
    let runner = broker.consumer().retry(fast().attempts(2)).state(seen.clone()).start(handler).unwrap();
    until(|| runner.health().halted.iter().any(|halted| halted.partition == 0)).await;
    let health = runner.health();
    assert!(health.halted[0].reason.contains("orders[0]@1: no card (&str)"), "{:?}", health.halted);
    assert!(!health.ready);
    broker.send(1, &["later"]).await;
    until(|| broker.committed(1) == Some(2)).await;
    let mut called = seen.all();
    called.sort();
    assert_eq!(called, ["bad", "bad", "good", "later", "other"]);
    runner.close(WAIT).await.unwrap();
    assert_eq!(broker.committed(0), Some(1));
}

#[tokio::test]
async fn stop_ends_the_run_with_the_records_error() {
    let broker = Broker::start();
    broker.send(0, &["good", "bad"]).await;
    let handler = |order: Record| async move { if value(&order) == "bad" { Err("no card") } else { Ok(()) } };
    let consumer = broker.consumer().retry(fast().attempts(2)).on_exhausted(OnFailure::Stop);
    let error = soon(consumer.run(handler)).await.unwrap_err();
    assert!(matches!(error, RunError::Stopped(_)), "{error}");
    assert_eq!(error.source().unwrap().to_string(), "orders[0]@1: no card (&str)");
    assert_eq!(broker.committed(0), Some(1));
}
