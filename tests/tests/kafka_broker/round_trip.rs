//! From a producer to a consumer: the trace, and every byte that is not ours.

use std::ops::ControlFlow;
use std::time::Duration;

use opentelemetry::Value;
use opentelemetry::trace::{FutureExt as _, SpanKind};
use rdkafka::Message as _;
use rdkafka::consumer::{CommitMode, Consumer as _, StreamConsumer};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::FutureRecord;
use throughline::kafka::{ProcessOptions, process};
use throughline::propagation::HeaderView;

use super::support::{Broker, attribute, named, root, soon, spans};

const WAIT: Duration = Duration::from_secs(30);

fn all<H: HeaderView>(headers: &H) -> Vec<(String, Option<Vec<u8>>)> {
    let mut list = Vec::new();
    headers.walk_back(&mut |name, value| {
        list.push((String::from_utf8_lossy(name).into_owned(), value.map(<[u8]>::to_vec)));
        ControlFlow::Continue(())
    });
    list.reverse();
    list
}

/// The broker keeps what the embedded cluster keeps, compressed or not: kafka.md T-1, A-7, A-10, F-M4.
#[tokio::test]
async fn the_trace_goes_on_and_other_headers_keep_their_bytes() {
    let broker = Broker::start();
    for compression in ["none", "gzip", "snappy", "lz4"] {
        let topic = broker.topic("round-trip", 1).await;
        let producer: throughline::kafka::TracedProducer =
            broker.config().set("compression.codec", compression).create().unwrap();
        let headers = OwnedHeaders::new()
            .insert(Header { key: "x", value: Some(&[0_u8, 0xff, 0x0a][..]) })
            .insert(Header { key: "TraceParent", value: Some("stale") })
            .insert(Header { key: "x", value: None::<&[u8]> })
            .insert(Header { key: "empty", value: Some("") });
        let (cx, trace) = root();
        let record = FutureRecord::to(&topic).key("k").payload(&[7_u8; 4_000][..]).headers(headers);
        let delivery = producer.send(record, WAIT).with_context(cx.clone()).await.unwrap();
        let tombstone = FutureRecord::<str, str>::to(&topic).key("k").timestamp(1_700_000_000_000);
        producer.send(tombstone, WAIT).with_context(cx).await.unwrap();

        let consumer: StreamConsumer = broker.consumer(&topic).create().unwrap();
        consumer.subscribe(&[&topic]).unwrap();
        let message = soon(consumer.recv()).await.unwrap();
        assert_eq!((message.partition(), message.offset()), (delivery.partition, delivery.offset));
        assert_eq!(message.payload(), Some(&[7_u8; 4_000][..]), "{compression}");
        let received = all(&message);
        assert_eq!(
            received[..3],
            [
                ("x".to_owned(), Some(vec![0, 0xff, 0x0a])),
                ("x".to_owned(), None),
                ("empty".to_owned(), Some(vec![]))
            ]
        );
        assert_eq!(received[3].0, "traceparent");
        assert_eq!(received.len(), 4, "one traceparent, in place of the stale one");
        let options = ProcessOptions::new().group("g");
        soon(process(&message, options, async { Ok::<_, String>(()) })).await.unwrap();

        let message = soon(consumer.recv()).await.unwrap();
        assert_eq!(message.timestamp().to_millis(), Some(1_700_000_000_000));
        let options = ProcessOptions::new().operation("forget").parent_max_age(None);
        soon(process(&message, options, async { Ok::<_, String>(()) })).await.unwrap();
        consumer.commit_message(&message, CommitMode::Sync).unwrap();

        let spans = spans(trace);
        let process = named(&spans, &format!("process {topic}"));
        assert_eq!(process.span_kind, SpanKind::Consumer);
        let send = spans.iter().find(|span| span.span_context.span_id() == process.parent_span_id);
        let send = send.expect("the process span is a child of the send");
        assert_eq!(send.name, format!("send {topic}"));
        for span in [send, process] {
            assert_eq!(attribute(span, "messaging.kafka.offset"), Some(Value::I64(0)));
        }
        let forget = named(&spans, &format!("forget {topic}"));
        assert_eq!(attribute(forget, "messaging.kafka.message.tombstone"), Some(Value::Bool(true)));
    }
}

/// The request path of the examples, which runs on an embedded broker otherwise.
#[tokio::test]
async fn the_request_path_runs_on_this_broker() {
    let Some(broker) = throughline_tests::peers::kafka() else {
        return throughline_tests::peers::skip("Apache Kafka", "kafka");
    };
    let mut program = tokio::process::Command::new(throughline_tests::examples::build("request_path"));
    let arguments = ["--json", "--requests", "8", "--kill-worker", "--kafka", &broker];
    program.args(arguments).kill_on_drop(true);
    let output = tokio::time::timeout(Duration::from_secs(120), program.output()).await.unwrap().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    let spans: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let sends: Vec<_> = spans.iter().filter(|span| span["name"] == "send orders").collect();
    assert_eq!(sends.len(), 8);
    for send in sends {
        let processed = spans.iter().any(|span| {
            span["name"] == "process orders"
                && span["trace_id"] == send["trace_id"]
                && span["parent_span_id"] == send["span_id"]
        });
        assert!(processed, "{send}");
    }
}
