//! Rows M1 to M6: what may stand in a log. Nothing panics, every message is processed, and what can be read is read.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use opentelemetry::trace::{FutureExt as _, Status, TraceContextExt as _, TraceId};
use opentelemetry::{Context, Value};
use opentelemetry_sdk::trace::SpanData;
use rdkafka::consumer::Consumer as _;
use rdkafka::message::{BorrowedMessage, Header, OwnedHeaders, OwnedMessage, Timestamp};
use rdkafka::producer::FutureRecord;
use rdkafka::{Message as _, Offset, TopicPartitionList};
use throughline::kafka::{
    CapturedHeader, Consumer, Headers, ProcessOptions, Record, RunnerHandle, TracedProducer, process,
    process_batch, tracked,
};
use throughline::propagation::{Refusal, refused};
use throughline::{Exporter, Setup, inject_context};
use throughline_tests::kafka::cluster::Cluster;
use throughline_tests::kafka::hostile::{RawBatch, RawHeader, RawRecord};

use super::support::{
    TOPIC, WAIT, all, attribute, cluster, config, consumer, end_offset, log, named, producer, root, soon,
    spans, text,
};

static CAPTURED: [CapturedHeader; 2] =
    [CapturedHeader::new("x", "app.x"), CapturedHeader::new("last", "app.last")];

/// The headers with which `cx` travels.
pub(crate) fn carrying(cx: &Context) -> Vec<RawHeader> {
    let mut headers: Vec<(String, Vec<u8>)> = Vec::new();
    inject_context(cx, &mut headers);
    headers.into_iter().map(|(name, value)| (name.into_bytes(), Some(value))).collect()
}

pub(crate) fn header(name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> RawHeader {
    (name.as_ref().to_vec(), Some(value.as_ref().to_vec()))
}

/// Processes a message the two ways there are, as it came and as a record; gives what happened to the first.
async fn handle(message: &BorrowedMessage<'_>) {
    let options = || ProcessOptions::new().headers(&CAPTURED);
    process(message, options(), async { Ok::<_, String>(()) }).await.unwrap();
    let record = Record::copy_of(message);
    process(&record, options().operation("copy"), async { Ok::<_, String>(()) }).await.unwrap();
}

/// Puts a record into the log, consumes it, and gives its process spans.
async fn processed(cluster: &Cluster, record: RawRecord, trace: TraceId) -> [SpanData; 2] {
    let offset = log(cluster, &RawBatch::of([record]));
    let consumer = super::support::consumer_of(&cluster.bootstrap(), TOPIC, offset);
    let message = soon(consumer.recv()).await.unwrap();
    handle(&message).await;
    let spans = spans(trace);
    [named(&spans, "process orders").clone(), named(&spans, "copy orders").clone()]
}

/// M1: null, empty and present are three things; a timestamp may be anything.
#[tokio::test]
async fn m1_null_and_empty_keys_and_values() {
    let cluster = cluster(1);
    for key in [None, Some(""), Some("k")] {
        for value in [None, Some(""), Some("v")] {
            let (cx, trace) = root();
            let mut record = RawRecord::with_headers(carrying(&cx));
            record.key = key.map(|key| key.as_bytes().to_vec());
            record.value = value.map(|value| value.as_bytes().to_vec());
            for span in processed(&cluster, record, trace).await {
                let seen = text(&span, "messaging.kafka.message.key");
                assert_eq!(seen.as_deref(), key, "A-9");
                let tombstone = attribute(&span, "messaging.kafka.message.tombstone");
                assert_eq!(tombstone, value.is_none().then_some(Value::Bool(true)), "A-7");
            }
        }
    }
}

/// M1, D-8.
#[tokio::test]
async fn m1_null_and_empty_stay_apart_in_a_copy_that_is_sent_on() {
    let cluster = cluster(1);
    let producer = producer(&cluster.bootstrap());
    let headers =
        [(b"null".to_vec(), None), header("empty", ""), header("null", "not"), header([0xff], [0xfe])];
    let record = RawRecord { key: Some(Vec::new()), value: None, ..RawRecord::with_headers(headers.clone()) };
    log(&cluster, &RawBatch::of([record]));
    let consumer = consumer(&cluster.bootstrap());
    let message = soon(consumer.recv()).await.unwrap();
    let copy = Record::copy_of(&message);
    producer.send(copy.to_future_record(), WAIT).await.unwrap();
    let sent_on = soon(consumer.recv()).await.unwrap();
    assert_eq!((sent_on.key(), sent_on.payload()), (Some(&b""[..]), None));
    let arrived = Headers::copy_of(&sent_on);
    let arrived: Vec<RawHeader> =
        arrived.iter().map(|(name, value)| (name.to_vec(), value.map(<[u8]>::to_vec))).collect();
    assert_eq!(arrived[..headers.len()], headers);
    let ours: Vec<_> = arrived[headers.len()..].iter().map(|(name, _)| name.as_slice()).collect();
    assert_eq!(ours, [b"traceparent"]);
}

/// M1, 3.5.
#[tokio::test]
async fn m1_timestamps_of_any_value() {
    let cluster = cluster(1);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let now = i64::try_from(now.as_millis()).unwrap();
    for (timestamp_ms, waited) in [
        (-1, None),
        (-5, None),
        (0, None),
        (i64::MAX, Some(0)),
        (now + 3_600_000, Some(0)),
        (now - 500, Some(500)),
    ] {
        let (cx, trace) = root();
        let record = RawRecord { timestamp_ms, ..RawRecord::with_headers(carrying(&cx)) };
        for span in processed(&cluster, record, trace).await {
            let seen = attribute(&span, "throughline.messaging.queue_time_ms");
            match (seen, waited) {
                (None, None) => {}
                (Some(Value::I64(0)), Some(0)) => {}
                (Some(Value::I64(seen)), Some(least)) if least > 0 => assert!(seen >= least, "{seen}"),
                (seen, _) => panic!("{timestamp_ms}: {seen:?}"),
            }
        }
    }
}

/// M2
#[tokio::test]
async fn m2_messages_without_headers_and_with_any_value() {
    let cluster = cluster(1);
    let (cx, trace) = root();
    let record = RawRecord::default();
    log(&cluster, &RawBatch::of([record]));
    let consumer = consumer(&cluster.bootstrap());
    let message = soon(consumer.recv()).await.unwrap();
    handle(&message).with_context(cx).await;
    assert!(named(&spans(trace), "process orders").links.links.is_empty());

    let control = "a\r\n\t\u{1b}[31m";
    for (value, captured) in [
        (None, None),
        (Some(Vec::new()), Some("")),
        (Some(vec![0xff, 0x00]), None),
        (Some(control.as_bytes().to_vec()), Some(control)),
        (Some(vec![b'x'; 257]), None),
    ] {
        let (cx, trace) = root();
        let mut headers = carrying(&cx);
        headers.push((b"x".to_vec(), value));
        headers.push(header(control, control));
        headers.push(header("last", "read"));
        let [span, copy] = processed(&cluster, RawRecord::with_headers(headers), trace).await;
        for span in [&span, &copy] {
            assert_eq!(text(span, "app.x").as_deref(), captured);
            assert_eq!(text(span, "app.last").as_deref(), Some("read"));
            assert_eq!(span.parent_span_id, cx.span().span_context().span_id());
        }
    }
}

/// M3: names of any bytes, and blocks of any size.
#[tokio::test]
async fn m3_hostile_names_and_sizes_leave_context_and_other_headers_readable() {
    let cluster = cluster(1);
    let mb = vec![b'm'; 1 << 20];
    let hostile: [(&str, Vec<RawHeader>); 7] = [
        ("not UTF-8", vec![header([0xff, 0xfe], "1")]),
        ("0 bytes", vec![header("", "1"), (Vec::new(), None)]),
        ("32 KiB", vec![header(vec![b'n'; 32 * 1024], "1")]),
        ("with NUL", vec![header(b"n\0m", "1"), header(b"\0", "2")]),
        ("a header of 1 MB", vec![header("big", &mb)]),
        ("a name of 1 MB", vec![header(&mb, "")]),
        ("10,000 headers", vec![header("n", [0xff]); 10_000]),
    ];
    for (what, hostile) in hostile {
        // The context behind the hostile headers, where it is found in any case.
        let (cx, trace) = root();
        let headers = hostile.iter().cloned().chain(carrying(&cx)).chain([header("last", "read")]);
        for span in processed(&cluster, RawRecord::with_headers(headers), trace).await {
            assert_eq!(span.parent_span_id, cx.span().span_context().span_id(), "{what}");
            assert_eq!(text(&span, "app.last").as_deref(), Some("read"), "{what}");
            assert_eq!(span.status, Status::Unset, "{what}");
        }

        // In front of them: found unless there are more than are looked at.
        let (ambient, trace) = root();
        let before = refused().count(Refusal::TooMany);
        let headers = carrying(&cx).into_iter().chain(hostile.iter().cloned());
        let links = processed(&cluster, RawRecord::with_headers(headers), trace)
            .with_context(ambient)
            .await
            .map(|span| span.links.links.len());
        if hostile.len() > 1_024 {
            // T-10
            assert_eq!(links, [0, 0], "{what}");
            assert!(refused().count(Refusal::TooMany) >= before + 2, "{what}");
        } else {
            assert_eq!(links, [1, 1], "{what}");
        }
    }
}

/// M3: a trace header itself of any size is refused and counted, and costs only itself.
#[tokio::test]
async fn m3_a_huge_trace_header_is_refused_and_counted() {
    let cluster = cluster(1);
    for name in ["traceparent", "tracestate", "baggage"] {
        let (cx, trace) = root();
        let before = refused().count(Refusal::TooLarge);
        let headers =
            carrying(&cx).into_iter().chain([header(name, vec![b'a'; 1 << 20]), header("last", "read")]);
        for span in processed(&cluster, RawRecord::with_headers(headers), trace).await {
            assert_eq!(span.parent_span_id, cx.span().span_context().span_id(), "{name}");
            assert_eq!(text(&span, "app.last").as_deref(), Some("read"), "{name}");
        }
        assert!(refused().count(Refusal::TooLarge) >= before + 2, "{name}");
    }
}

/// M3: a block that does not parse is no headers, and counted.
#[tokio::test]
async fn m3_malformed_blocks_and_too_many_headers_are_counted() {
    let cluster = cluster(1);
    let many = vec![header("n", ""); 100_001];
    let records = [
        // A count without headers; a name, and a value, beyond the end.
        (RawRecord::with_block(&[2]), true),
        (RawRecord::with_block(&[2, 200, 1, b'n']), true),
        (RawRecord::with_block(&[2, 2, b'n', 200, 1, b'v']), true),
        (RawRecord::with_block(&[0xff; 20]), true),
        (RawRecord::with_headers(many), true),
        // A count below zero: librdkafka itself takes it for none, so nobody can count it.
        (RawRecord::with_block(&[1]), false),
    ];
    for (record, counted) in records {
        let what = format!("{:.60?}", record.headers);
        let (cx, trace) = root();
        let before = refused().count(Refusal::Malformed);
        let spans = processed(&cluster, record, trace).with_context(cx.clone()).await;
        for span in spans {
            assert!(span.links.links.is_empty(), "{what}");
            assert_eq!(span.parent_span_id, cx.span().span_context().span_id(), "{what}");
        }
        assert!(!counted || refused().count(Refusal::Malformed) > before, "{what}");
    }
}

/// M3: the flood goes through a forwarding service, too, and leaves one traceparent.
#[tokio::test]
async fn m3_a_flood_is_forwarded_with_one_traceparent() {
    let cluster = cluster(1);
    let producer = producer(&cluster.bootstrap());
    let flood = (0..10_000).map(|i| header(if i % 2 == 0 { "TraceParent" } else { "n" }, "garbage"));
    log(&cluster, &RawBatch::of([RawRecord::with_headers(flood)]));
    let consumer = consumer(&cluster.bootstrap());
    let message = soon(consumer.recv()).await.unwrap();
    producer.send(Record::copy_of(&message).to_future_record(), WAIT).await.unwrap();
    let sent_on = soon(consumer.recv()).await.unwrap();
    let headers = Headers::copy_of(&sent_on);
    assert_eq!(headers.len(), 5_001);
    assert_eq!(headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(b"traceparent")).count(), 1);
}

/// M4: compaction and transactions leave gaps, which no span fills.
#[tokio::test]
async fn m4_gaps_and_transaction_markers_are_passed() {
    let cluster = cluster(1);
    let producer = producer(&cluster.bootstrap());
    let (cx, trace) = root();
    let record = || RawRecord::with_headers(carrying(&cx));
    // 0 and 4 of a batch of six, then a marker, then a record more.
    log(&cluster, &RawBatch { records: vec![(0, record()), (4, record())], places: 6, marker: false });
    log(&cluster, &RawBatch::marker());
    log(&cluster, &RawBatch::of([record()]));
    let consumer = consumer(&cluster.bootstrap());
    for _ in 0..3 {
        handle(&soon(consumer.recv()).await.unwrap()).await;
    }
    let spans = spans(trace);
    let offsets: Vec<_> = all(&spans, "process orders")
        .iter()
        .filter_map(|span| text(span, "messaging.kafka.offset"))
        .collect();
    assert_eq!(offsets, ["0", "4", "7"]);
    assert_eq!(end_offset(&producer), 8);
}

/// A member of a group of its own that counts what it handles.
fn runner(cluster: &Cluster, group: &str) -> (RunnerHandle, Arc<AtomicUsize>) {
    let handled = Arc::new(AtomicUsize::new(0));
    let counts = Arc::clone(&handled);
    let handler = move |record: Record| {
        assert_eq!(record.topic(), TOPIC);
        counts.fetch_add(1, Ordering::Relaxed);
        async {}
    };
    let mut config = config(&cluster.bootstrap());
    config
        .set("group.protocol", "consumer")
        .set("auto.offset.reset", "earliest")
        .set("fetch.wait.max.ms", "10");
    let consumer = Consumer::from_config(config).group(group).topics([TOPIC]);
    (consumer.commit(tracked(Duration::from_millis(50), 100)).start(handler).unwrap(), handled)
}

/// Waits until a group has committed this offset.
async fn commits(cluster: &Cluster, group: &str, offset: i64) {
    let mut config = config(&cluster.bootstrap());
    config.set("group.id", group);
    let asks = move || {
        let consumer: rdkafka::consumer::BaseConsumer = config.create().unwrap();
        let deadline = Instant::now() + WAIT;
        loop {
            let mut list = TopicPartitionList::new();
            list.add_partition(TOPIC, 0);
            let committed = consumer.committed_offsets(list, WAIT).unwrap();
            if committed.elements()[0].offset() == Offset::Offset(offset) {
                return;
            }
            assert!(Instant::now() < deadline, "{committed:?}");
        }
    };
    soon(tokio::task::spawn_blocking(asks)).await.unwrap();
}

/// M3: the runner handles what producers of all kinds left in the log, and commits beyond it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn m3_the_runner_handles_hostile_records() {
    let cluster = cluster(1);
    let hostile = [
        RawRecord::with_headers([header([0xff, 0xfe], [0xff]), header("", ""), (Vec::new(), None)]),
        RawRecord::with_headers([header(vec![b'n'; 32 * 1024], "1"), header(b"n\0m", "1")]),
        RawRecord::with_headers([header("big", vec![b'm'; 1 << 20])]),
        RawRecord::with_headers(vec![header("n", [0xff]); 10_000]),
        RawRecord::with_headers(vec![header("n", ""); 100_001]),
        RawRecord::with_headers(vec![header("traceparent", "garbage"); 2_000]),
        RawRecord::with_block(&[2, 200, 1, b'n']),
        RawRecord::with_block(&[0xff; 20]),
        RawRecord { key: None, value: None, timestamp_ms: i64::MAX, ..RawRecord::default() },
        RawRecord { key: Some(vec![0xff]), value: Some(vec![]), timestamp_ms: -5, ..RawRecord::default() },
    ];
    let count = hostile.len();
    for record in hostile {
        log(&cluster, &RawBatch::of([record]));
    }
    let (runner, handled) = runner(&cluster, "hostile");
    commits(&cluster, "hostile", i64::try_from(count).unwrap()).await;
    assert_eq!(handled.load(Ordering::Relaxed), count);
    let report = soon(runner.close(WAIT)).await.unwrap();
    assert_eq!((report.handled, report.decode_errors, report.panics), (10, 0, 0), "{report:?}");
}

/// M4: the watermark passes gaps and markers; what lies behind the last record is nobody's to commit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn m4_the_watermark_passes_gaps_and_markers() {
    let cluster = cluster(1);
    let record = || RawRecord::with_headers([]);
    log(&cluster, &RawBatch::marker());
    log(&cluster, &RawBatch { records: vec![(0, record()), (4, record())], places: 6, marker: false });
    log(&cluster, &RawBatch::marker());
    log(&cluster, &RawBatch::of([record()]));
    let (runner, handled) = runner(&cluster, "gaps");
    commits(&cluster, "gaps", 9).await;
    assert_eq!(handled.load(Ordering::Relaxed), 3);
    let report = soon(runner.close(WAIT)).await.unwrap();
    assert_eq!((report.handled, report.unfinished), (3, 0), "{report:?}");
}

/// M4: headers come through every compression that the build has.
#[tokio::test]
async fn m4_compression_leaves_headers_intact() {
    let cluster = cluster(1);
    let consumer = consumer(&cluster.bootstrap());
    for codec in ["gzip", "snappy", "lz4", "zstd"] {
        let created = config(&cluster.bootstrap()).set("compression.type", codec).create();
        let producer: TracedProducer = match created {
            // refused when the producer is made, not at the first record.
            Err(refused) if codec == "zstd" => {
                assert!(refused.to_string().contains("zstd"), "{refused}");
                continue;
            }
            created => created.unwrap(),
        };
        let (cx, trace) = root();
        let headers = OwnedHeaders::new()
            .insert(Header { key: "x", value: Some(&"y".repeat(200)) })
            .insert(Header { key: "null", value: None::<&str> });
        let payload = "z".repeat(10_000);
        let record = FutureRecord::to(TOPIC).key("k").payload(&payload).headers(headers);
        producer.send(record, WAIT).with_context(cx).await.unwrap();
        let message = soon(consumer.recv()).await.unwrap();
        assert_eq!(message.payload().map(<[u8]>::len), Some(10_000), "{codec}");
        handle(&message).await;
        let spans = spans(trace);
        let (send, process) = (named(&spans, "send orders"), named(&spans, "process orders"));
        assert_eq!(process.parent_span_id, send.span_context.span_id(), "{codec}");
        assert_eq!(text(process, "app.x").unwrap().len(), 200, "{codec}");
        assert_eq!(Headers::copy_of(&message).get("null"), Some(None), "{codec}");
    }
}

/// A message that nobody has to send.
fn message(topic: &str, offset: i64, creation: Option<&Context>) -> OwnedMessage {
    let mut headers = OwnedHeaders::new();
    if let Some(cx) = creation {
        inject_context(cx, &mut headers);
    }
    OwnedMessage::new(
        Some(b"{}".to_vec()),
        None,
        topic.to_owned(),
        Timestamp::now(),
        0,
        offset,
        Some(headers),
    )
}

async fn batch_span(messages: &[OwnedMessage]) -> SpanData {
    let (ambient, trace) = root();
    let handled = process_batch(messages, ProcessOptions::new().group("g"), async { Ok::<_, String>(()) });
    handled.with_context(ambient).await.unwrap();
    let spans = spans(trace);
    spans.iter().find(|span| span.span_kind == opentelemetry::trace::SpanKind::Consumer).unwrap().clone()
}

fn link_text(span: &SpanData, link: usize, key: &str) -> Option<String> {
    let attributes = &span.links.links[link].attributes;
    attributes.iter().find(|kv| kv.key.as_str() == key).map(|kv| kv.value.to_string())
}

/// M6: C-4, C-1, A-17.
#[tokio::test]
async fn m6_a_batch_of_a_thousand_half_without_context() {
    let creations: Vec<_> = (0..500).map(|_| root().0).collect();
    let mut batch = Vec::new();
    for (offset, creation) in (0..).zip(&creations) {
        batch.push(message(TOPIC, 2 * offset, Some(creation)));
        batch.push(message(TOPIC, 2 * offset + 1, None));
    }
    let span = batch_span(&batch).await;
    assert_eq!(span.name, "process orders");
    assert_eq!(attribute(&span, "messaging.batch.message_count"), Some(Value::I64(1_000)));
    assert_eq!((span.links.links.len(), span.links.dropped_count), (128, 372));
    assert_eq!(link_text(&span, 0, "messaging.kafka.offset").as_deref(), Some("0"));
    assert_eq!(link_text(&span, 127, "messaging.kafka.offset").as_deref(), Some("998"));
    assert_eq!(link_text(&span, 0, "messaging.destination.name"), None, "the same for all: on the span");
}

/// M6: equal contexts count once when there are too many (C-4), and each message has its link when there are not.
#[tokio::test]
async fn m6_equal_contexts_are_merged_only_over_the_limit() {
    let (one, _) = root();
    let few: Vec<_> = (0..100).map(|offset| message(TOPIC, offset, Some(&one))).collect();
    assert_eq!(batch_span(&few).await.links.links.len(), 100);
    let many: Vec<_> = (0..1_000).map(|offset| message(TOPIC, offset, Some(&one))).collect();
    let span = batch_span(&many).await;
    assert_eq!(span.links.links.len(), 1);
}

/// M6: over several topics there is no destination for all, and each link has its own (S-1, A-17).
#[tokio::test]
async fn m6_a_batch_over_several_topics() {
    let creations: Vec<_> = (0..4).map(|_| root().0).collect();
    let topics = ["orders", "orders", "returns", "orders"];
    let batch: Vec<_> =
        topics.iter().zip(&creations).map(|(topic, creation)| message(topic, 7, Some(creation))).collect();
    let span = batch_span(&batch).await;
    assert_eq!(span.name, "process");
    assert_eq!(attribute(&span, "messaging.destination.name"), None);
    for (link, topic) in topics.iter().enumerate() {
        assert_eq!(link_text(&span, link, "messaging.destination.name").as_deref(), Some(*topic));
        assert_eq!(link_text(&span, link, "messaging.destination.partition.id").as_deref(), Some("0"));
    }
}

/// M2: whatever stands in a header, the console prints it in lines of its own making.
#[test]
fn m2_control_characters_make_no_lines() {
    let path = concat!(module_path!(), "::m2_control_characters_make_no_lines");
    let said = super::alone::run(path, WAIT, || {
        let setup = Setup::new("m2").without_environment().exporters([Exporter::Console]).subscriber(false);
        let telemetry = setup.install().unwrap();
        let headers =
            OwnedHeaders::new().insert(Header { key: "x", value: Some("a\r\nforged\t\u{1b}[31mred") });
        let message = OwnedMessage::new(None, None, TOPIC.to_owned(), Timestamp::now(), 0, 1, Some(headers));
        let options = ProcessOptions::new().headers(&CAPTURED);
        throughline::kafka::process_sync(&message, options, || Err::<(), _>("b\r\nforged\u{1b}[31mred"))
            .unwrap_err();
        assert!(telemetry.shutdown(WAIT).is_complete());
    });
    if let Some(said) = said {
        let printed = said.out + &said.err;
        assert!(printed.contains("process orders") && printed.contains("forged"), "{printed}");
        assert!(!printed.lines().any(|line| line.starts_with("forged")), "{printed}");
        assert!(!printed.contains(['\r', '\t']) && !printed.contains("\u{1b}[31mred"), "{printed}");
    }
}
