//! Others on the same topics: Python's confluent-kafka with OpenTelemetry's instrumentation, and kcat.

use std::ffi::OsStr;
use std::time::Duration;

use opentelemetry::trace::{FutureExt as _, SpanKind, TraceContextExt as _};
use rdkafka::Message as _;
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::message::{Header, OwnedHeaders, OwnedMessage};
use rdkafka::producer::FutureRecord;
use serde_json::Value;
use throughline::kafka::{ProcessOptions, process};
use throughline_tests::peers;
use tokio::process::Command;

use super::support::{Broker, named, root, soon, spans};

const WAIT: Duration = Duration::from_secs(30);

/// The output of a program, which must succeed.
async fn output(command: &mut Command) -> String {
    let output = soon(command.kill_on_drop(true).output()).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What `tests/peers/confluent.py` says of one command; `None` without Python.
async fn python(broker: &Broker, arguments: &[&str]) -> Option<Value> {
    let Some(python) = std::env::var_os("THROUGHLINE_TEST_PYTHON") else {
        peers::skip("confluent-kafka of Python", "python");
        return None;
    };
    let mut command = Command::new(python);
    command.arg(peers::script("confluent.py")).arg(broker.servers()).args(arguments);
    Some(serde_json::from_str(&output(&mut command).await).unwrap())
}

async fn kcat(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Option<String> {
    let found = Command::new("kcat").arg("-V").output().await.is_ok();
    if !found {
        peers::skip_program("kcat");
        return None;
    }
    Some(output(Command::new("kcat").args(arguments)).await)
}

/// The one span of this name among those of the other side.
fn their<'v>(report: &'v Value, name: &str) -> &'v Value {
    let mut found = report["spans"].as_array().unwrap().iter().filter(|span| span["name"] == name);
    let span = found.next().unwrap_or_else(|| panic!("no span {name} in {report:#}"));
    assert!(found.next().is_none(), "two spans {name}");
    span
}

fn traceparents(report: &Value) -> Vec<&str> {
    let headers = report["messages"][0]["headers"].as_array().unwrap();
    let ours =
        headers.iter().filter(|header| header[0].as_str().unwrap().eq_ignore_ascii_case("traceparent"));
    ours.map(|header| header[1].as_str().unwrap()).collect()
}

async fn first(broker: &Broker, topic: &str) -> OwnedMessage {
    let consumer: StreamConsumer = broker.consumer(topic).create().unwrap();
    consumer.subscribe(&[topic]).unwrap();
    soon(consumer.recv()).await.unwrap().detach()
}

async fn processed(message: &OwnedMessage) {
    process(message, ProcessOptions::new(), async { Ok::<_, String>(()) }).await.unwrap();
}

fn trace_id(span: &Value) -> opentelemetry::TraceId {
    opentelemetry::TraceId::from_hex(span["trace_id"].as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn a_message_from_python_is_continued() {
    let broker = Broker::start();
    let topic = broker.topic("python-produce", 1).await;
    let Some(theirs) = python(&broker, &["produce", &topic, "hello"]).await else { return };
    let send = their(&theirs, &format!("{topic} send"));
    let message = first(&broker, &topic).await;
    assert_eq!(message.payload(), Some(&b"hello"[..]));
    processed(&message).await;

    let spans = spans(trace_id(send));
    let process = named(&spans, &format!("process {topic}"));
    assert_eq!(process.span_kind, SpanKind::Consumer);
    assert_eq!(process.parent_span_id.to_string(), send["span_id"]);
    assert!(process.parent_span_is_remote);
    assert_eq!(process.links.links.len(), 1, "C-1: linked also where it is the parent");
    assert_eq!(process.links.links[0].span_context.span_id().to_string(), send["span_id"]);
}

#[tokio::test]
async fn a_message_of_ours_is_continued_by_python() {
    let broker = Broker::start();
    let topic = broker.topic("python-consume", 1).await;
    let (cx, trace) = root();
    let stale = OwnedHeaders::new()
        .insert(Header {
            key: "traceparent",
            value: Some("00-11111111111111111111111111111111-1111111111111111-01"),
        })
        .insert(Header { key: "x-binary", value: Some(&[0_u8, 0xff][..]) });
    let record = FutureRecord::<str, str>::to(&topic).payload("hello").headers(stale);
    broker.producer().send(record, WAIT).with_context(cx).await.unwrap();
    let Some(theirs) = python(&broker, &["consume", &topic]).await else { return };

    let spans = spans(trace);
    let send = named(&spans, &format!("send {topic}"));
    assert_eq!(send.span_kind, SpanKind::Producer);
    let id = send.span_context.span_id().to_string();
    let [header] = traceparents(&theirs)[..] else { panic!("one traceparent: {theirs:#}") };
    assert_eq!(header, format!("00-{trace}-{id}-01"));
    let process = their(&theirs, &format!("{topic} process"));
    assert_eq!(process["links"][0]["trace_id"], trace.to_string());
    assert_eq!(process["links"][0]["span_id"], id);
    assert_eq!(theirs["messages"][0]["headers"][0], serde_json::json!(["x-binary", "\u{0}\u{ff}"]));
}

/// kafka.md T-6: their instrumentation adds a second traceparent to the headers that it forwards. The nearest writer is
/// continued; what we forward carries one again.
#[tokio::test]
async fn a_message_that_python_forwarded_continues_the_forwarder() {
    let broker = Broker::start();
    let (from, to) = (broker.topic("python-from", 1).await, broker.topic("python-to", 1).await);
    let (cx, trace) = root();
    broker
        .producer()
        .send(FutureRecord::<str, str>::to(&from).payload("x"), WAIT)
        .with_context(cx)
        .await
        .unwrap();
    let Some(theirs) = python(&broker, &["forward", &from, &to]).await else { return };
    let message = first(&broker, &to).await;
    let headers: Vec<_> = rdkafka::message::Headers::iter(message.headers().unwrap()).collect();
    assert_eq!(headers.iter().filter(|header| header.key == "traceparent").count(), 2);

    let send = their(&theirs, &format!("{to} send"));
    assert_ne!(trace_id(send), trace, "their consumer links, so their send is in a trace of its own");
    processed(&message).await;
    let process = spans(trace_id(send)).into_iter().find(|span| span.name == format!("process {to}"));
    assert_eq!(process.expect("in the forwarder's trace").parent_span_id.to_string(), send["span_id"]);

    let last = broker.topic("forwarded", 1).await;
    let record = FutureRecord::<str, str>::to(&last).payload("x").headers(message.headers().unwrap().clone());
    let (cx, trace) = root();
    broker.producer().send(record, WAIT).with_context(cx).await.unwrap();
    let report = python(&broker, &["consume", &last]).await.unwrap();
    let [header] = traceparents(&report)[..] else { panic!("one traceparent: {report:#}") };
    assert!(header.starts_with(&format!("00-{trace}-")), "{header}");
}

#[tokio::test]
async fn kcat_shows_one_traceparent_and_the_other_headers() {
    let broker = Broker::start();
    let topic = broker.topic("kcat-consume", 1).await;
    let (cx, trace) = root();
    let headers = OwnedHeaders::new()
        .insert(Header { key: "x-tenant", value: Some("acme") })
        .insert(Header { key: "TRACEPARENT", value: Some("stale") })
        .insert(Header { key: "x-null", value: None::<&str> });
    let record = FutureRecord::<str, str>::to(&topic).payload("hello").headers(headers);
    broker.producer().send(record, WAIT).with_context(cx).await.unwrap();
    let Some(shown) = kcat(["-b", broker.servers(), "-t", &topic, "-C", "-e", "-q", "-f", "%h\n"]).await
    else {
        return;
    };
    let spans = spans(trace);
    let send = named(&spans, &format!("send {topic}")).span_context.span_id();
    assert_eq!(shown, format!("x-tenant=acme,x-null=NULL,traceparent=00-{trace}-{send}-01\n"));
}

#[tokio::test]
async fn what_kcat_sends_is_continued_if_it_is_good_and_processed_in_any_case() {
    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    let broker = Broker::start();
    let good = format!("00-{TRACE}-b7ad6b7169203331-01");
    for (headers, continued) in [
        (vec![format!("traceparent={good}")], true),
        (vec![format!("TraceParent={good}")], true),
        (
            vec![
                format!("traceparent=00-{}-b7ad6b7169203331-01", "1".repeat(32)),
                format!("traceparent={good}"),
            ],
            true,
        ),
        (vec![format!("traceparent={good}x")], false),
        (vec!["traceparent=".to_owned()], false),
        (vec!["traceparent".to_owned()], false),
    ] {
        let topic = broker.topic("kcat-produce", 1).await;
        let mut file = tempfile(&topic);
        std::io::Write::write_all(&mut file.1, b"hello\n").unwrap();
        let mut arguments = vec!["-b", broker.servers(), "-t", &topic, "-P"];
        arguments.extend(headers.iter().flat_map(|header| ["-H", header]));
        arguments.extend(["-l", file.0.to_str().unwrap()]);
        let sent = kcat(arguments).await;
        std::fs::remove_file(&file.0).unwrap();
        if sent.is_none() {
            return;
        }
        let message = first(&broker, &topic).await;
        let cx = throughline::extract_trace_context(&message);
        assert_eq!(cx.span().span_context().trace_id().to_string() == TRACE, continued, "{headers:?}");
        processed(&message).await;
    }
}

/// A file that nobody else has.
fn tempfile(name: &str) -> (std::path::PathBuf, std::fs::File) {
    let path = std::env::temp_dir().join(format!("throughline-{name}"));
    (path.clone(), std::fs::File::create_new(path).unwrap())
}
