//! Records that cannot be handled end in the dead-letter topic, with their trace (kafka.md K-10).

use opentelemetry::trace::TraceContextExt as _;
use opentelemetry::trace::{SpanKind, Status};
use rdkafka::types::RDKafkaRespErr;
use throughline::kafka::{DeadLetterContext, DeadLetterHeaders, OnFailure, Record, RunError, State};
use throughline::{CreationContext, extract_trace_context};

use super::support::{
    Broker, DEAD, Seen, TOPIC, WAIT, fast, is_error, links, named, processed, soon, spans, text, until, value,
};

/// Refuses what begins with `bad`.
async fn charge(order: Record, State(seen): State<Seen>) -> Result<(), String> {
    seen.note(value(&order));
    match value(&order) {
        bad if bad.starts_with("bad") => Err(format!("no card for {bad}")),
        _ => Ok(()),
    }
}

#[tokio::test]
async fn a_record_that_always_fails_is_dead_lettered_in_its_trace() {
    let broker = Broker::with(5, Some(3));
    let seen = Seen::default();
    broker.send(4, &["good"]).await;
    let trace = broker.send(4, &["bad"]).await[0];
    let consumer = broker.consumer().retry(fast().attempts(3)).dead_letter(DEAD).state(seen.clone());
    let runner = consumer.start(charge).unwrap();

    // Partition 4 of five goes to partition 1 of three.
    let letter = broker.read(DEAD, 1, 1).await.remove(0);
    let report = runner.close(WAIT).await.unwrap();
    assert_eq!((report.handled, report.dead_lettered, report.retries), (1, 1, 2));
    assert_eq!(broker.committed(4), Some(2));
    assert_eq!(seen.all(), ["good", "bad", "bad", "bad"]);

    assert_eq!((letter.key.as_deref(), letter.value.as_deref()), (Some(&b"order-7"[..]), Some(&b"bad"[..])));
    assert_eq!(letter.partition, 1);
    // D-8: what the user sent is there byte by byte, in order, in front.
    assert_eq!(letter.headers[0], (b"x-tenant".to_vec(), Some(b"acme".to_vec())));
    assert_eq!(letter.headers[1], (vec![0xff], Some(vec![0xfe])));
    for (name, expected) in [
        ("__dlq.errors.topic", TOPIC),
        ("__dlq.errors.partition", "4"),
        ("__dlq.errors.offset", "1"),
        ("__dlq.errors.group", "billing"),
        ("__dlq.errors.delivery.count", "3"),
        ("__dlq.errors.message", "no card for bad"),
        ("throughline.error.type", "alloc::string::String"),
    ] {
        assert_eq!(letter.text(name), Some(expected), "{name}");
    }

    let spans = spans(trace);
    let sent = named(&spans, "send orders");
    // T-1: one traceparent, that of the sender, unchanged.
    let traceparent = format!("00-{trace}-{}-01", sent.span_context.span_id());
    assert_eq!(letter.text("traceparent"), Some(traceparent.as_str()));
    let attempts = processed(&spans);
    let errors: Vec<_> = attempts.iter().map(|span| is_error(span)).collect();
    assert_eq!(errors, [false, false, true]);
    let last = attempts[2];
    assert_eq!(last.status, Status::error("no card for bad"));
    assert_eq!(text(last, "error.type").as_deref(), Some("alloc::string::String"));
    assert!(text(last, "throughline.messaging.retried_error").is_none());
    let buried = named(&spans, "send orders.dlq");
    assert_eq!(buried.parent_span_id, last.span_context.span_id());
    assert_eq!(buried.span_kind, SpanKind::Client);
    assert_eq!(links(buried), [sent.span_context.span_id()]);
    assert_eq!(text(buried, "messaging.destination.partition.id").as_deref(), Some("1"));
    assert_eq!(text(buried, "messaging.kafka.offset").as_deref(), Some("0"));
}

#[tokio::test]
async fn springs_headers_have_binary_numbers() {
    let broker = Broker::with(2, Some(2));
    broker.send(1, &["bad"]).await;
    let consumer = broker.consumer().retry(fast().attempts(1)).dead_letter(DEAD);
    let runner =
        consumer.dlq_headers(DeadLetterHeaders::Spring).state(Seen::default()).start(charge).unwrap();
    let letter = broker.read(DEAD, 1, 1).await.remove(0);
    runner.close(WAIT).await.unwrap();
    assert_eq!(letter.text("kafka_dlt-original-topic"), Some(TOPIC));
    assert_eq!(letter.header("kafka_dlt-original-partition"), Some(&1_i32.to_be_bytes()[..]));
    assert_eq!(letter.header("kafka_dlt-original-offset"), Some(&0_i64.to_be_bytes()[..]));
    assert_eq!(letter.header("kafka_dlt-original-timestamp").map(<[u8]>::len), Some(8));
    assert_eq!(letter.text("kafka_dlt-original-consumer-group"), Some("billing"));
    assert_eq!(letter.text("kafka_dlt-exception-fqcn"), Some("alloc::string::String"));
    assert_eq!(letter.text("kafka_dlt-exception-message"), Some("no card for bad"));
    assert!(letter.header("__dlq.errors.topic").is_none());
}

#[tokio::test]
async fn the_context_of_a_dead_letter_can_be_replaced() {
    let broker = Broker::start();
    let trace = broker.send(0, &["bad"]).await[0];
    let consumer = broker.consumer().retry(fast().attempts(1)).dead_letter(DEAD);
    let consumer = consumer.dead_letter_context(DeadLetterContext::Replace);
    let runner = consumer.state(Seen::default()).start(charge).unwrap();
    let letter = broker.read(DEAD, 0, 1).await.remove(0);
    runner.close(WAIT).await.unwrap();
    let spans = spans(trace);
    let buried = named(&spans, "send orders.dlq");
    assert_eq!(buried.span_kind, SpanKind::Producer);
    assert_eq!(buried.parent_span_id, processed(&spans)[0].span_context.span_id());
    let traceparent = format!("00-{trace}-{}-01", buried.span_context.span_id());
    assert_eq!(letter.text("traceparent"), Some(traceparent.as_str()));
}

/// F-T5: a dead letter that is consumed and buried again has each header once.
#[tokio::test]
async fn a_dead_letter_that_dies_again_has_every_header_once() {
    let broker = Broker::with(1, Some(1));
    broker.cluster.mock().create_topic("orders.dlq2", 1, 1).unwrap();
    let trace = broker.send(0, &["bad"]).await[0];
    let first = broker.consumer().retry(fast().attempts(1)).dead_letter(DEAD);
    let first = first.state(Seen::default()).start(charge).unwrap();
    broker.read(DEAD, 0, 1).await;
    let second = throughline::kafka::Consumer::from_config({
        let mut config = broker.config();
        config
            .set("auto.offset.reset", "earliest")
            .set("session.timeout.ms", "1200")
            .set("heartbeat.interval.ms", "50");
        config
    });
    let second =
        second.group("undertaker").topics([DEAD]).retry(fast().attempts(2)).dead_letter("orders.dlq2");
    let second = second.state(Seen::default()).start(charge).unwrap();
    let letter = broker.read("orders.dlq2", 0, 1).await.remove(0);
    first.close(WAIT).await.unwrap();
    second.close(WAIT).await.unwrap();
    // `text` asserts that each is there once.
    assert_eq!(letter.text("__dlq.errors.topic"), Some(DEAD));
    assert_eq!(letter.text("__dlq.errors.group"), Some("undertaker"));
    assert_eq!(letter.text("__dlq.errors.delivery.count"), Some("2"));
    assert!(letter.text("throughline.error.type").is_some());
    assert!(letter.text("traceparent").is_some_and(|text| text.contains(&trace.to_string())));
    let spans = spans(trace);
    assert_eq!(processed(&spans).len(), 3, "all of it is one trace");
}

/// The dead-letter topic is away, then back: its partition waits, others flow, nothing is skipped.
#[tokio::test]
async fn a_dead_letter_topic_that_is_away_stops_its_partition_only() {
    let broker = Broker::with(2, Some(1));
    let away = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    broker.cluster.mock().topic_error(DEAD, away).unwrap();
    let seen = Seen::default();
    broker.send(0, &["bad", "after"]).await;
    broker.send(1, &["other-1", "other-2"]).await;
    let consumer = broker.consumer().retry(fast().attempts(1)).dead_letter(DEAD).state(seen.clone());
    let runner = consumer.start(charge).unwrap();
    seen.reaches(3).await;
    until(|| broker.committed(1) == Some(2)).await;
    let mut called = seen.all();
    called.sort();
    assert_eq!(called, ["bad", "other-1", "other-2"], "the record after the dead letter waits");
    assert_eq!(broker.committed(0), None);

    broker.cluster.mock().topic_error(DEAD, RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR).unwrap();
    seen.reaches(4).await;
    let letters = broker.read(DEAD, 0, 1).await;
    assert_eq!(letters[0].value.as_deref(), Some(&b"bad"[..]));
    let report = runner.close(WAIT).await.unwrap();
    assert_eq!((report.handled, report.dead_lettered, report.skipped), (3, 1, 0));
    assert_eq!(broker.committed(0), Some(2));
}

/// F-L1.
#[tokio::test]
async fn closing_while_the_dead_letter_topic_is_away_leaves_the_record_to_the_next() {
    let broker = Broker::with(1, Some(1));
    let away = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    broker.cluster.mock().topic_error(DEAD, away).unwrap();
    let seen = Seen::default();
    broker.send(0, &["bad"]).await;
    let consumer = || broker.consumer().retry(fast().attempts(1)).dead_letter(DEAD);
    let runner = consumer().state(seen.clone()).start(charge).unwrap();
    seen.reaches(1).await;
    let report = soon(runner.close(WAIT)).await.unwrap();
    assert_eq!((report.dead_lettered, broker.committed(0)), (0, None));

    broker.cluster.mock().topic_error(DEAD, RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR).unwrap();
    let runner = consumer().state(seen.clone()).start(charge).unwrap();
    broker.read(DEAD, 0, 1).await;
    assert_eq!(runner.close(WAIT).await.unwrap().dead_lettered, 1);
    assert_eq!(broker.committed(0), Some(1));
}

#[tokio::test]
async fn contradictory_words_do_not_start() {
    let broker = Broker::start();
    let started = [
        broker.consumer().on_exhausted(OnFailure::DeadLetter),
        broker.consumer().on_decode_error(OnFailure::DeadLetter),
        broker.consumer().on_panic(OnFailure::DeadLetter),
        broker.consumer().dead_letter(TOPIC),
        broker.consumer().dead_letter("no such name"),
    ];
    for consumer in started {
        let error = consumer.state(Seen::default()).start(charge).unwrap_err();
        assert!(matches!(error, RunError::Setting { .. }), "{error}");
    }
}

/// A record without a trace begins one where it is processed; its dead letter carries that.
#[tokio::test]
async fn a_record_without_a_trace_is_buried_with_the_consumers() {
    let broker = Broker::start();
    let producer: rdkafka::producer::FutureProducer = broker.config().create().unwrap();
    let record = rdkafka::producer::FutureRecord::<str, str>::to(TOPIC).payload("bad");
    producer.send(record, WAIT).await.unwrap();
    let consumer = broker.consumer().retry(fast().attempts(1)).dead_letter(DEAD);
    let runner = consumer.state(Seen::default()).start(charge).unwrap();
    let letter = broker.read(DEAD, 0, 1).await.remove(0);
    runner.close(WAIT).await.unwrap();
    let headers = vec![("traceparent".to_owned(), letter.text("traceparent").unwrap().to_owned())];
    let creation = CreationContext::received(extract_trace_context(&headers));
    let trace = creation.context().unwrap().span().span_context().trace_id();
    let spans = spans(trace);
    assert_eq!(named(&spans, "send orders.dlq").span_kind, SpanKind::Producer);
    assert_eq!(processed(&spans).len(), 1);
}
