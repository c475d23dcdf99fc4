//! The conventions' metrics of messaging: kafka.md M-1 to M-6.

use opentelemetry::Context;
use rdkafka::message::{OwnedHeaders, OwnedMessage, Timestamp};
use throughline::kafka::{
    ProcessOptions, Record, SendOptions, TracedProducer, process, process_batch, process_sync,
};
use throughline::{ErrorType, inject_context, kafka_consumer};

use super::meters::{measure, point, points};
use super::support::{Broker, named, root, spans};

const PROCESS: &str = "messaging.process.duration";
const CONSUMED: &str = "messaging.client.consumed.messages";

/// kafka.md M-5.
const BUCKETS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

#[derive(Debug)]
struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("broken")
    }
}

impl ErrorType for Broken {
    fn error_type(&self) -> std::borrow::Cow<'static, str> {
        "broken".into()
    }
}

fn message(topic: &str, cx: &Context) -> OwnedMessage {
    let mut headers = OwnedHeaders::new();
    inject_context(cx, &mut headers);
    let key = Some(b"order-7".to_vec());
    OwnedMessage::new(Some(b"{}".to_vec()), key, topic.to_owned(), Timestamp::now(), 3, 17, Some(headers))
}

#[kafka_consumer(group = "billing", client_id = "billing-1")]
async fn handle(message: &OwnedMessage, fail: bool) -> Result<(), Broken> {
    if fail { Err(Broken) } else { Ok(()) }
}

#[kafka_consumer(group = "billing", metrics = off)]
async fn handle_unmeasured(message: &OwnedMessage) {}

#[kafka_consumer(group = "billing")]
fn handle_in_a_guard(message: &OwnedMessage) {}

/// M-3, M-4, M-6.
#[tokio::test]
async fn a_handler_is_measured_and_its_message_counted_once() {
    measure();
    let (cx, _) = root();
    let message = message("metrics.process", &cx);
    handle(&message, false).await.unwrap();
    handle(&message, false).await.unwrap();
    handle(&message, true).await.unwrap_err();

    let processed = points(PROCESS, "metrics.process");
    let (failed, well): (Vec<_>, Vec<_>) =
        processed.iter().partition(|point| point.get("error.type").is_some());
    assert_eq!((well[0].count, failed[0].count), (2, 1));
    assert_eq!((well.len(), failed.len()), (1, 1));
    assert_eq!(failed[0].get("error.type"), Some("broken"));
    assert_eq!((well[0].bounds.as_slice(), well[0].unit.as_str()), (&BUCKETS[..], "s"));
    let expected = [
        ("messaging.consumer.group.name", "billing"),
        ("messaging.destination.name", "metrics.process"),
        ("messaging.destination.partition.id", "3"),
        ("messaging.operation.name", "process"),
        ("messaging.system", "kafka"),
    ];
    assert!(well[0].attributes.iter().map(|(k, v)| (k.as_str(), v.as_str())).eq(expected), "{well:?}");
    let consumed = point(CONSUMED, "metrics.process");
    assert_eq!((consumed.count, consumed.unit.as_str()), (3, "{message}"));
    // kafka.md 3.5: an hour is nothing unusual.
    let queued = point("throughline.messaging.queue.duration", "metrics.process");
    assert_eq!((queued.count, queued.unit.as_str(), queued.bounds.last()), (3, "s", Some(&3600.0)));
    assert!(consumed.attributes.iter().map(|(k, v)| (k.as_str(), v.as_str())).eq(expected), "{consumed:?}");
}

/// M-5.
#[test]
fn an_unsampled_message_is_measured_like_any_other() {
    measure();
    let mut headers = OwnedHeaders::new();
    headers = headers.insert(rdkafka::message::Header {
        key: "traceparent",
        value: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"),
    });
    let unsampled =
        OwnedMessage::new(None, None, "metrics.unsampled".to_owned(), Timestamp::now(), 0, 1, Some(headers));
    root();
    process_sync(&unsampled, ProcessOptions::new(), || Err::<(), _>(Broken)).unwrap_err();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(process(&unsampled, ProcessOptions::new(), async { Err::<(), _>(Broken) })).unwrap_err();
    handle_in_a_guard(&unsampled);
    let processed = points(PROCESS, "metrics.unsampled");
    let failed: Vec<_> = processed.iter().filter(|point| point.get("error.type").is_some()).collect();
    assert_eq!((failed.len(), failed[0].count), (1, 2));
    assert!(failed[0].get("error.type").unwrap().ends_with("Broken"));
    assert_eq!(processed.iter().map(|point| point.count).sum::<u64>(), 3);
}

#[tokio::test]
async fn metrics_off_measures_nothing() {
    measure();
    let (cx, trace) = root();
    handle_unmeasured(&message("metrics.off", &cx)).await;
    named(&spans(trace), "process metrics.off");
    assert!(points(PROCESS, "metrics.off").is_empty());
    assert!(points(CONSUMED, "metrics.off").is_empty());
}

/// E-1, M-4.
#[tokio::test]
async fn a_panic_and_a_dropped_handler_are_measured() {
    measure();
    let (cx, _) = root();
    let message = message("metrics.ends", &cx);
    let panicking = process(&message, ProcessOptions::new(), async {
        if true {
            panic!("on purpose");
        }
        Ok::<_, Broken>(())
    });
    // As an executor does: the panic is caught, and the future dropped afterwards.
    let mut panicking = Box::pin(panicking);
    let polled = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        futures_util::FutureExt::now_or_never(panicking.as_mut())
    }));
    polled.unwrap_err();
    drop(panicking);
    std::panic::catch_unwind(|| {
        process_sync(&message, ProcessOptions::new(), || {
            if true {
                panic!("on purpose");
            }
            Ok::<_, Broken>(())
        })
    })
    .unwrap_err()
    .downcast::<&str>()
    .unwrap();
    {
        let dropped = process(&message, ProcessOptions::new(), std::future::pending::<Result<(), Broken>>());
        assert!(futures_util::FutureExt::now_or_never(dropped).is_none());
    }
    let processed = points(PROCESS, "metrics.ends");
    let counts: Vec<_> = processed.iter().map(|point| (point.get("error.type"), point.count)).collect();
    assert_eq!(counts.len(), 2, "{counts:?}");
    assert!(counts.contains(&(Some("panic"), 2)), "{counts:?}");
    assert!(counts.contains(&(None, 1)), "a dropped future did not fail: {counts:?}");
}

/// M-3: each message of a batch; M-6: with a template the name is left out.
#[tokio::test]
async fn a_batch_is_one_measurement_of_many_messages() {
    measure();
    let (cx, _) = root();
    let messages: Vec<_> = (0..5).map(|_| message("metrics.batch.acme", &cx)).collect();
    let options =
        ProcessOptions::new().group("billing").template("metrics.batch.{tenant}").server("kafka", 9093);
    process_batch(&messages, options, async { Ok::<_, Broken>(()) }).await.unwrap();
    let processed = point(PROCESS, "metrics.batch.{tenant}");
    assert_eq!(processed.count, 1);
    assert_eq!(processed.get("messaging.destination.name"), None);
    assert_eq!(processed.get("server.address"), Some("kafka"));
    assert_eq!(processed.get("server.port"), Some("9093"));
    assert_eq!(point(CONSUMED, "metrics.batch.{tenant}").count, 5);
    assert!(points(PROCESS, "metrics.batch.acme").is_empty());
}

/// M-4: the same clock readings but for what lies between two calls; both see the handler's own time.
#[tokio::test]
async fn the_measured_time_is_the_spans() {
    measure();
    let (cx, trace) = root();
    let message = message("metrics.time", &cx);
    let handler = async {
        let begun = std::time::Instant::now();
        std::thread::sleep(std::time::Duration::from_millis(20));
        Ok::<_, Broken>(begun.elapsed())
    };
    let begun = std::time::Instant::now();
    let inside = process(&message, ProcessOptions::new(), handler).await.unwrap();
    let outside = begun.elapsed();
    let spans = spans(trace);
    let span = named(&spans, "process metrics.time");
    let lasted = span.end_time.duration_since(span.start_time).unwrap();
    let measured = point(PROCESS, "metrics.time").sum;
    assert!(inside.as_secs_f64() <= measured && measured <= outside.as_secs_f64());
    // The span's times are wall time, which the system may adjust meanwhile.
    let slack = 1e-3;
    let lasted = lasted.as_secs_f64();
    assert!(inside.as_secs_f64() - slack <= lasted && lasted <= outside.as_secs_f64() + slack);
}

const OPERATION: &str = "messaging.client.operation.duration";
const SENT: &str = "messaging.client.sent.messages";
const WAIT: std::time::Duration = std::time::Duration::from_secs(10);

/// M-1, M-2, M-5, M-6.
#[tokio::test]
async fn sends_are_counted_at_their_reports_and_measured() {
    measure();
    let broker = Broker::start();
    let topic = "metrics.sent";
    broker.cluster.create_topic(topic, 1, 1).unwrap();
    let producer: TracedProducer = broker.config().set("message.max.bytes", "2000").create().unwrap();
    let record = Record::to(topic).with_key("never-an-attribute").with_value("{}");
    for _ in 0..2 {
        producer.send_record(&record, WAIT).await.unwrap();
    }
    for sent in producer.send_batch(&[record.clone(), record.clone(), record.clone()], WAIT).await {
        sent.unwrap();
    }
    producer.with_options(SendOptions::new().metrics(false)).send_record(&record, WAIT).await.unwrap();
    // Refused by librdkafka: not sent, and yet an operation that failed.
    let large = Record::to(topic).with_value(vec![0; 3000]);
    producer.send_record(&large, WAIT).await.unwrap_err();
    // Refused by the broker: sent.
    let refusal = rdkafka::types::RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    broker.cluster.request_errors(rdkafka::types::RDKafkaApiKey::Produce, &[refusal]);
    producer.send_record(&record, WAIT).await.unwrap_err();

    let sent = points(SENT, topic);
    let counts: Vec<_> = sent.iter().map(|point| (point.get("error.type"), point.count)).collect();
    assert_eq!(counts.len(), 2, "{counts:?}");
    assert!(counts.contains(&(None, 5)), "{counts:?}");
    assert!(counts.contains(&(Some("TOPIC_AUTHORIZATION_FAILED"), 1)), "{counts:?}");
    let well = sent.iter().find(|point| point.get("error.type").is_none()).unwrap();
    let keys: Vec<_> = well.attributes.keys().map(String::as_str).collect();
    let expected = [
        "messaging.destination.name",
        "messaging.destination.partition.id",
        "messaging.operation.name",
        "messaging.system",
        "server.address",
        "server.port",
    ];
    assert_eq!((keys.as_slice(), well.unit.as_str()), (&expected[..], "{message}"));

    let took = points(OPERATION, topic);
    let counts: Vec<_> = took
        .iter()
        .map(|point| (point.get("error.type"), point.get("messaging.destination.partition.id"), point.count))
        .collect();
    // A batch is one operation, whose records may be of many partitions.
    assert!(counts.contains(&(None, Some("0"), 2)) && counts.contains(&(None, None, 1)), "{counts:?}");
    assert!(counts.iter().any(|(error, ..)| *error == Some("MESSAGE_TOO_LARGE")), "{counts:?}");
    assert_eq!(counts.len(), 4, "{counts:?}");
    assert_eq!((took[0].bounds.as_slice(), took[0].unit.as_str()), (&BUCKETS[..], "s"));
    assert!(took.iter().all(|point| point.get("messaging.operation.type") == Some("send")));
}
