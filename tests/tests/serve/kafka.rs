//! Spans over Kafka: from our exporter into a topic, and from the topic into a store.
//!
//! On the embedded cluster, and where there is one on a real broker: `tests/peers/kafka -- cargo test --test serve kafka`.

use std::collections::BTreeMap;
use std::time::Duration;

use opentelemetry::trace::TraceId;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _, StreamConsumer};
use rdkafka::message::Message as _;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use throughline::store::{self, Store, StoreOptions};
use throughline::{Exporter, Setup, SetupError, Telemetry};
use throughline_tests::kafka::cluster::Cluster;
use throughline_tests::peers;
use throughline_tests::program::Serve;
use throughline_tests::store::Folder;

use crate::program::send;
use crate::support::{request, span};

const FAR: Duration = Duration::from_secs(60);

/// A topic of the test's own.
struct Topic {
    brokers: String,
    name: String,
    /// The embedded cluster, where there is no real one.
    _cluster: Option<Cluster>,
}

impl Topic {
    fn new(case: &str) -> Self {
        let name = format!("otlp_{case}_{}", std::process::id());
        match peers::kafka() {
            Some(brokers) => Self { brokers, name, _cluster: None },
            None => {
                let cluster = Cluster::start(1);
                cluster.mock().create_topic(&name, 2, 1).unwrap();
                Self { brokers: cluster.bootstrap(), name, _cluster: Some(cluster) }
            }
        }
    }

    fn exporter(&self, key: &str) -> Telemetry {
        Setup::new("planner")
            .environment([
                ("THROUGHLINE_KAFKA_BROKERS", self.brokers.as_str()),
                ("THROUGHLINE_KAFKA_TOPIC", self.name.as_str()),
                ("THROUGHLINE_KAFKA_KEY", key),
            ])
            .exporters([Exporter::Kafka])
            .schedule_delay(FAR)
            .local()
            .unwrap()
    }

    fn serve(&self, folder: &Folder) -> Serve {
        // One that was killed leaves the group soon.
        let session =
            ["--kafka-setting", "session.timeout.ms=6000", "--kafka-setting", "heartbeat.interval.ms=1000"];
        let source = ["--from-kafka", &self.brokers, "--topic", &self.name];
        Serve::start(&folder.url(), &[&source[..], &session[..]].concat())
    }

    async fn produce(&self, payload: &[u8]) {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers);
        let producer: FutureProducer = config.create().unwrap();
        let record = FutureRecord::<(), _>::to(&self.name).payload(payload).partition(0);
        producer.send(record, FAR).await.unwrap();
    }

    /// The messages as a reader of `otlp_spans` has them, with their keys and partitions, when there are so many spans.
    async fn read(&self, spans: usize) -> Vec<(Option<String>, i32, ExportTraceServiceRequest)> {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("group.id", "reader")
            .set("auto.offset.reset", "earliest");
        let consumer: StreamConsumer = config.create().unwrap();
        consumer.subscribe(&[&self.name]).unwrap();
        let (mut messages, mut count) = (Vec::new(), 0);
        while count < spans {
            let message = consumer.recv().await.unwrap();
            let request = ExportTraceServiceRequest::decode(message.payload().unwrap()).unwrap();
            count += request.resource_spans[0].scope_spans[0].spans.len();
            let key = message.key().map(|key| String::from_utf8(key.to_vec()).unwrap());
            messages.push((key, message.partition(), request));
        }
        messages
    }

    /// What the group of the program has committed, all partitions together.
    fn committed(&self) -> i64 {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers).set("group.id", "throughline");
        let consumer: BaseConsumer = config.create().unwrap();
        let mut list = TopicPartitionList::new();
        for partition in 0..2 {
            list.add_partition(&self.name, partition);
        }
        let committed = consumer.committed_offsets(list, FAR).unwrap();
        let offset = |offset| if let Offset::Offset(offset) = offset { offset } else { 0 };
        committed.elements().iter().map(|element| offset(element.offset())).sum()
    }
}

async fn finish(telemetry: Telemetry) {
    let report = tokio::task::spawn_blocking(move || telemetry.shutdown(FAR)).await.unwrap();
    assert!(report.is_complete(), "{report}");
}

/// Waits until a trace is stored.
async fn stored(store: &dyn Store, trace: TraceId) -> usize {
    loop {
        let spans = store.spans(trace, None, 10).await.unwrap();
        if !spans.is_empty() {
            return spans.len();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_go_over_kafka_into_the_store_once() {
    let topic = Topic::new("store");
    let folder = Folder::new();
    let telemetry = topic.exporter("none");
    let mut traces = send(&telemetry, 50);
    finish(telemetry).await;
    let mut serve = topic.serve(&folder);
    let telemetry = topic.exporter("trace_id");
    traces.extend(send(&telemetry, 50));
    finish(telemetry).await;
    let store = store::open(StoreOptions::new(folder.url())).unwrap();
    for trace in &traces {
        assert_eq!(stored(&*store, *trace).await, 1);
    }
    let answer = reqwest::get(serve.api("/api/services")).await.unwrap().bytes().await.unwrap();
    assert!(String::from_utf8_lossy(&answer).contains("planner"));
    serve.signal("TERM");
    assert!(tokio::task::spawn_blocking(move || serve.wait()).await.unwrap().success());
    // All that is stored is committed: the 50 of the one message, or two, and of the 50.
    let committed = tokio::task::spawn_blocking(move || topic.committed()).await.unwrap();
    assert!((51..=60).contains(&committed), "{committed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_are_committed_after_the_store_has_the_spans() {
    let topic = Topic::new("commit");
    let folder = Folder::new();
    let mut serve = topic.serve(&folder);
    let store = store::open(StoreOptions::new(folder.url())).unwrap();
    topic.produce(&request(vec![span(1, 1)]).encode_to_vec()).await;
    stored(&*store, TraceId::from(1_u128)).await;
    // The store is locked: what comes now cannot be stored, and the program is killed over it.
    let lock = rusqlite::Connection::open(folder.0.join("traces.db")).unwrap();
    lock.busy_timeout(FAR).unwrap();
    lock.execute_batch("begin immediate").unwrap();
    topic.produce(&request(vec![span(2, 1)]).encode_to_vec()).await;
    serve.signal("KILL");
    let _ = tokio::task::spawn_blocking(move || serve.wait()).await.unwrap();
    lock.execute_batch("rollback").unwrap();
    assert!(store.spans(TraceId::from(2_u128), None, 1).await.unwrap().is_empty());
    // The next one has it.
    let _serve = topic.serve(&folder);
    assert_eq!(stored(&*store, TraceId::from(2_u128)).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn store_that_is_away_is_waited_for() {
    let topic = Topic::new("away");
    let folder = Folder::new();
    let _serve = topic.serve(&folder);
    let store = store::open(StoreOptions::new(folder.url())).unwrap();
    let lock = rusqlite::Connection::open(folder.0.join("traces.db")).unwrap();
    lock.busy_timeout(FAR).unwrap();
    lock.execute_batch("begin immediate").unwrap();
    for trace in 1..=20 {
        topic.produce(&request(vec![span(trace, 1)]).encode_to_vec()).await;
    }
    // Longer than the store's own patience: at least one attempt fails.
    tokio::time::sleep(Duration::from_secs(6)).await;
    lock.execute_batch("rollback").unwrap();
    for trace in 1..=20 {
        assert_eq!(stored(&*store, TraceId::from(trace)).await, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_are_no_requests_stand_in_nobodys_way() {
    let topic = Topic::new("poison");
    let folder = Folder::new();
    topic.produce(b"\xff\xff no protobuf").await;
    topic.produce(b"").await;
    topic.produce(b"{\"resourceSpans\": 5}").await;
    topic.produce(&request(vec![Default::default()]).encode_to_vec()).await;
    let begin = crate::support::begin_ns().to_string();
    let json = serde_json::json!({"resourceSpans": [{"scopeSpans": [{"spans": [{
        "traceId": format!("{:032x}", 7), "spanId": "0000000000000001", "name": "json",
        "startTimeUnixNano": begin, "endTimeUnixNano": begin,
    }]}]}]});
    topic.produce(json.to_string().as_bytes()).await;
    let _serve = topic.serve(&folder);
    let store = store::open(StoreOptions::new(folder.url())).unwrap();
    assert_eq!(stored(&*store, TraceId::from(7_u128)).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn batch_is_one_message_without_a_key_or_one_for_each_trace() {
    let topic = Topic::new("messages");
    let telemetry = topic.exporter("none");
    send(&telemetry, 30);
    finish(telemetry).await;
    let messages = topic.read(30).await;
    assert!(messages.iter().all(|(key, ..)| key.is_none()));
    assert!(messages.len() < 30, "a batch is one message: {}", messages.len());
    let resource = messages[0].2.resource_spans[0].resource.as_ref().unwrap();
    assert!(resource.attributes.iter().any(|attribute| attribute.key == "service.name"));

    let topic = Topic::new("keyed");
    let telemetry = topic.exporter("trace_id");
    let traces = send(&telemetry, 30);
    finish(telemetry).await;
    let mut keys = BTreeMap::new();
    for (key, _, request) in topic.read(30).await {
        let [span] = &request.resource_spans[0].scope_spans[0].spans[..] else { panic!("one span a trace") };
        keys.insert(key.unwrap(), span.trace_id.clone());
    }
    assert_eq!(keys.len(), 30);
    for trace in traces {
        assert_eq!(keys[&trace.to_string()], trace.to_bytes());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn broker_that_is_away_keeps_nobody_and_is_told() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let telemetry = Setup::new("planner")
        .without_environment()
        .exporters([Exporter::Kafka])
        .kafka_brokers(format!("127.0.0.1:{port}"))
        .local()
        .unwrap();
    send(&telemetry, 5);
    let shutdown = move || telemetry.shutdown(Duration::from_millis(200));
    let report = tokio::task::spawn_blocking(shutdown).await.unwrap();
    assert!(!report.is_complete() && !report.deadline_met, "{report}");
    assert_eq!(report.exporters[0].exported, 0, "{report}");
}

#[test]
fn exporter_without_brokers_is_an_error() {
    let error = Setup::new("planner").environment([("TRACING_EXPORTER", "kafka")]).local().unwrap_err();
    assert!(matches!(error, SetupError::Invalid { .. }), "{error}");
    assert!(error.to_string().contains("THROUGHLINE_KAFKA_BROKERS"), "{error}");
}

#[test]
fn properties_of_librdkafka_are_taken_and_not_shown() {
    let config = Setup::new("planner")
        .environment([
            ("TRACING_EXPORTER", "kafka"),
            ("THROUGHLINE_KAFKA_BROKERS", "b:9092"),
            ("THROUGHLINE_KAFKA_PROPERTIES", "sasl.username=me,sasl.password=secret%2Cword"),
        ])
        .effective_config()
        .unwrap();
    assert_eq!(config.get("kafka.topic").unwrap().value, "otlp_spans");
    let shown = config.to_string();
    assert!(shown.contains("sasl.password=REDACTED") && !shown.contains("secret"), "{shown}");
    let wrong = Setup::new("planner").environment([
        ("TRACING_EXPORTER", "kafka"),
        ("THROUGHLINE_KAFKA_BROKERS", "b:9092"),
        ("THROUGHLINE_KAFKA_PROPERTIES", "no.such.setting=1"),
    ]);
    let error = wrong.local().unwrap_err();
    assert!(matches!(error, SetupError::Exporter { exporter: "kafka", .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn jaeger_reads_our_spans_out_of_kafka() {
    let (Some(brokers), Some(jaeger)) = (peers::kafka(), peers::jaeger()) else {
        peers::skip("Jaeger over Apache Kafka", "kafka -- tests/peers/jaeger --from-kafka");
        return;
    };
    let Some(name) = jaeger.topic else {
        peers::skip("Jaeger over Apache Kafka", "kafka -- tests/peers/jaeger --from-kafka");
        return;
    };
    let topic = Topic { brokers, name, _cluster: None };
    for key in ["none", "trace_id"] {
        let telemetry = topic.exporter(key);
        let traces = send(&telemetry, 10);
        finish(telemetry).await;
        for (number, trace) in traces.iter().enumerate() {
            let url = format!("{}/api/traces/{trace}", jaeger.query);
            // Jaeger says that there is no such trace until it has read the topic.
            let found = loop {
                let answer = reqwest::get(&url).await.unwrap();
                if answer.status() == 200 {
                    break serde_json::from_slice::<serde_json::Value>(&answer.bytes().await.unwrap())
                        .unwrap();
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            };
            let spans = found["data"][0]["spans"].as_array().unwrap();
            assert_eq!(spans.len(), 1, "{found}");
            assert_eq!(spans[0]["operationName"], format!("span {number}"));
            assert_eq!(found["data"][0]["processes"]["p1"]["serviceName"], "planner");
            let tags = spans[0]["tags"].as_array().unwrap();
            assert!(
                tags.iter().any(|tag| tag["key"] == "task_id" && tag["value"] == format!("task {number}"))
            );
        }
    }
}
