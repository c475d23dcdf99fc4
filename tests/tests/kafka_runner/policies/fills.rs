//! A handler with `#[kafka_consumer]` inside the runner: one process span, which both write to (kafka.md 3.1, `run`).

use std::borrow::Cow;

use opentelemetry::Value;
use opentelemetry::trace::TraceId;
use throughline::kafka::{Attempt, Record, State};
use throughline::{ErrorType, kafka_consumer, traced_span};

use super::support::{Broker, Seen, WAIT, attribute, links, named, processed, spans, text, value};

#[derive(Debug)]
struct Declined;

impl std::fmt::Display for Declined {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("declined")
    }
}

impl ErrorType for Declined {
    fn error_type(&self) -> Cow<'static, str> {
        "card_declined".into()
    }
}

#[kafka_consumer("bill", key = off, headers("x-tenant" = "app.tenant"), fields(attempt = attempt.number(), value = %value(&order)))]
async fn bill(order: Record, State(seen): State<Seen>, attempt: Attempt) -> Result<(), Declined> {
    tokio::task::yield_now().await;
    charge();
    seen.note("called");
    if attempt.number() == 1 { Err(Declined) } else { Ok(()) }
}

#[traced_span]
fn charge() {}

#[kafka_consumer(template = "orders.{tenant}", fields(count = orders.len()))]
fn bill_all(orders: Vec<Record>, State(seen): State<Seen>) {
    charge();
    seen.note(throughline::trace_id().unwrap());
    drop(orders);
}

/// An annotated function that a plain handler calls.
async fn forwards(order: Record, State(seen): State<Seen>) -> Result<(), Declined> {
    inner(&order).await?;
    seen.note("called");
    Ok(())
}

#[kafka_consumer(fields(inner = true))]
async fn inner(order: &Record) -> Result<(), Declined> {
    let _ = order;
    Ok(())
}

#[tokio::test]
async fn the_attribute_fills_the_span_of_the_attempt() {
    let broker = Broker::start();
    let seen = Seen::default();
    let trace = broker.send(0, &["a"]).await[0];
    let runner = broker.consumer().state(seen.clone()).start(bill).unwrap();
    seen.reaches(2).await;
    runner.close(WAIT).await.unwrap();
    let spans = spans(trace);
    let attempts = processed(&spans);
    assert_eq!(attempts.len(), 2, "no second span for the handler");
    for (number, span) in (1..).zip(&attempts) {
        assert_eq!(span.name, "bill");
        assert_eq!(attribute(span, "attempt"), Some(Value::I64(number)));
        assert_eq!(text(span, "value").as_deref(), Some("a"));
        assert_eq!(text(span, "app.tenant").as_deref(), Some("acme"));
        // The handler says that keys are nobody's business, and so they are not recorded before it could say so.
        assert!(attribute(span, "messaging.kafka.message.key").is_none());
        assert_eq!(text(span, "messaging.consumer.group.name").as_deref(), Some("billing"));
        assert_eq!(attribute(span, "throughline.messaging.delivery_attempt"), Some(Value::I64(number)));
        let charged = spans.iter().filter(|child| child.parent_span_id == span.span_context.span_id());
        assert_eq!(charged.map(|child| child.name.as_ref()).collect::<Vec<_>>(), ["charge"]);
    }
    // The name that the error gives itself, which the attribute knows and the runner does not.
    assert_eq!(text(attempts[0], "throughline.messaging.retried_error").as_deref(), Some("card_declined"));
}

#[tokio::test]
async fn a_sync_handler_of_batches_fills_it_from_its_blocking_thread() {
    let broker = Broker::start();
    let seen = Seen::default();
    let sent = broker.send(0, &["a", "b"]).await;
    let consumer = broker.consumer().batch(2, std::time::Duration::from_secs(5)).state(seen.clone());
    let runner = consumer.start(bill_all).unwrap();
    let trace = TraceId::from_hex(&seen.reaches(1).await[0]).unwrap();
    runner.close(WAIT).await.unwrap();
    let spans = spans(trace);
    let [process] = processed(&spans)[..] else { panic!("one span: {spans:#?}") };
    assert_eq!(process.name, "process orders.{tenant}");
    assert_eq!(text(process, "messaging.destination.template").as_deref(), Some("orders.{tenant}"));
    assert_eq!(attribute(process, "count"), Some(Value::I64(2)));
    assert_eq!(links(process).len(), sent.len());
    assert_eq!(named(&spans, "charge").parent_span_id, process.span_context.span_id());
}

#[tokio::test]
async fn a_function_that_the_handler_calls_fills_it_too() {
    let broker = Broker::start();
    let seen = Seen::default();
    let trace = broker.send(0, &["a"]).await[0];
    let runner = broker.consumer().state(seen.clone()).start(forwards).unwrap();
    seen.reaches(1).await;
    runner.close(WAIT).await.unwrap();
    let spans = spans(trace);
    let [process] = processed(&spans)[..] else { panic!("one span: {spans:#?}") };
    assert_eq!(attribute(process, "inner"), Some(Value::Bool(true)));
}

#[kafka_consumer(
    topic = "orders",
    group = "billing",
    context = link,
    key = off,
    run(retry(attempts = 2, initial = "1ms"), dead_letter = "orders.dlq")
)]
async fn run_by_attribute(order: Record, State(seen): State<Seen>) -> Result<(), Declined> {
    seen.note(throughline::trace_id().unwrap());
    let _ = order;
    Err(Declined)
}

#[tokio::test]
async fn run_makes_the_consumer_with_the_arguments_of_the_attribute() {
    let broker = Broker::start();
    let seen = Seen::default();
    let sent = broker.send(0, &["a"]).await[0];
    let mut config = broker.config();
    config
        .set("auto.offset.reset", "earliest")
        .set("session.timeout.ms", "1200")
        .set("heartbeat.interval.ms", "50");
    let consumer = run_by_attribute::consumer().config(config).state(seen.clone());
    let runner = consumer.start(run_by_attribute).unwrap();
    let letter = broker.read("orders.dlq", 0, 1).await.remove(0);
    let report = runner.close(WAIT).await.unwrap();
    assert_eq!((report.dead_lettered, report.retries), (1, 1));
    assert_eq!(letter.text("throughline.error.type"), Some("card_declined"));
    let traces = seen.all();
    // `context = link`: a trace of its own for each attempt, linked to the sender's.
    assert_ne!(traces[0], traces[1]);
    let send = named(&spans(sent), "send orders").span_context.span_id();
    let spans = spans(TraceId::from_hex(&traces[1]).unwrap());
    let [process] = processed(&spans)[..] else { panic!("one span: {spans:#?}") };
    assert_eq!(links(process)[0], send);
    assert_eq!(text(process, "error.type").as_deref(), Some("card_declined"));
    assert!(attribute(process, "messaging.kafka.message.key").is_none());
}

#[derive(throughline::KafkaMessage)]
#[kafka(topic = "orders")]
struct Order {
    amount: u64,
}

/// The parameter is no message, so only the runner knows which one it came from.
#[kafka_consumer("add", topic = "orders", group = "billing", fields(amount), run(retry(attempts = 1)))]
async fn add(Order { amount }: Order, State(seen): State<Seen>) {
    seen.note(throughline::trace_id().unwrap());
}

#[tokio::test]
async fn a_handler_of_a_message_struct_fills_it_and_has_a_span_of_its_own_elsewhere() {
    let broker = Broker::start();
    let seen = Seen::default();
    let trace = broker.send(0, &["{\"amount\":7}"]).await[0];
    let mut config = broker.config();
    config
        .set("auto.offset.reset", "earliest")
        .set("session.timeout.ms", "1200")
        .set("heartbeat.interval.ms", "50");
    let runner = add::consumer().config(config).state(seen.clone()).start(add).unwrap();
    assert_eq!(seen.reaches(1).await, [trace.to_string()]);
    runner.close(WAIT).await.unwrap();
    let all = spans(trace);
    let [process] = processed(&all)[..] else { panic!("one span: {all:#?}") };
    assert_eq!((process.name.as_ref(), attribute(process, "amount")), ("add", Some(Value::I64(7))));

    add(Order { amount: 8 }, State(seen.clone())).await;
    let alone = spans(TraceId::from_hex(&seen.all()[1]).unwrap());
    let process = named(&alone, "add");
    assert_eq!(attribute(process, "amount"), Some(Value::I64(8)));
    assert_eq!(text(process, "messaging.destination.name").as_deref(), Some("orders"));
}
