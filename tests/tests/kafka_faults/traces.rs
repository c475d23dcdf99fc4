//! Rows T1 to T5: trace headers of every kind, through a broker.

use std::time::Duration;

use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::{FutureExt as _, SpanKind, TraceContextExt as _};
use opentelemetry::{Context, KeyValue};
use rdkafka::consumer::StreamConsumer;
use rdkafka::message::{BorrowedMessage, Header, OwnedHeaders};
use rdkafka::producer::FutureRecord;
use throughline::kafka::{
    Backoff, Consumer, Existing, Headers, ProcessOptions, Record, SendOptions, TracedProducer,
    WithCreation as _, process,
};
use throughline::propagation::{Duplicates, Format, set_duplicates};
use throughline::{CreationContext, Setup, extract_trace_context, inject_context};
use throughline_tests::kafka::cluster::Cluster;
use throughline_tests::kafka::hostile::{RawBatch, RawHeader, RawRecord};

use super::messages::{carrying, header};
use super::support::{
    TOPIC, WAIT, all, cluster, config, consumer, consumer_of, install, log, named, producer, root, soon,
    spans,
};

const TRACE: &str = "12345678901234567890123456789012";
const SPAN: &str = "1234567890123456";
const GOOD: &str = "00-12345678901234567890123456789012-1234567890123456-01";

const NEXT: &str = "next";

/// From another service's record through a process span to the next service.
struct Path {
    cluster: Cluster,
    producer: TracedProducer,
    from: StreamConsumer,
    next: StreamConsumer,
}

impl Path {
    fn new() -> Self {
        let cluster = cluster(1);
        cluster.mock().create_topic(NEXT, 1, 1).unwrap();
        let producer = producer(&cluster.bootstrap());
        let (from, next) = (consumer(&cluster.bootstrap()), consumer_of(&cluster.bootstrap(), NEXT, 0));
        Path { cluster, producer, from, next }
    }

    /// Consumes a record with these headers, sends one, and gives what the next service gets.
    async fn hop(&self, headers: Vec<RawHeader>) -> (Context, Vec<RawHeader>) {
        log(&self.cluster, &RawBatch::of([RawRecord::with_headers(headers)]));
        let message = soon(self.from.recv()).await.unwrap();
        let record = FutureRecord::<str, str>::to(NEXT).payload("{}");
        process(&message, ProcessOptions::new(), async {
            self.producer.send(record, WAIT).await.map_err(|(error, _)| error)
        })
        .await
        .unwrap();
        let message = soon(self.next.recv()).await.unwrap();
        (extract_trace_context(&message), raw(&message))
    }
}

fn raw(message: &BorrowedMessage<'_>) -> Vec<RawHeader> {
    Headers::copy_of(message).iter().map(|(name, value)| (name.to_vec(), value.map(<[u8]>::to_vec))).collect()
}

fn values<'h>(headers: &'h [RawHeader], name: &str) -> Vec<&'h str> {
    let named = headers.iter().filter(|(header, _)| header == name.as_bytes());
    named.map(|(_, value)| str::from_utf8(value.as_deref().unwrap()).unwrap()).collect()
}

/// One case of the W3C suite: headers, whether the trace goes on, and the tracestate that goes with it.
type Case<'c> = (&'c str, Vec<(&'c str, &'c str)>, bool, Option<&'c str>);

fn states<'c>(states: &[&'c str]) -> Vec<(&'c str, &'c str)> {
    [("traceparent", GOOD)].into_iter().chain(states.iter().map(|state| ("tracestate", *state))).collect()
}

/// T1: the cases of the W3C suite at its strictest, each header line a Kafka header. The suite itself judges the same
/// path elsewhere, against the adapter that `.ci/run` starts.
#[test]
fn t1_the_cases_of_the_w3c_suite() {
    let path = concat!(module_path!(), "::t1_the_cases_of_the_w3c_suite");
    super::alone::run(path, WAIT, || {
        install(Setup::new("t1"));
        set_duplicates(Duplicates::Reject);
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let path = Path::new();
            for (what, given, continues, state) in w3c_cases(&mut Vec::new()) {
                let headers = given.iter().map(|(name, value)| header(name, value)).collect();
                let (cx, next) = path.hop(headers).await;
                assert_eq!(values(&next, "traceparent").len(), 1, "{what}: {next:?}");
                let trace = cx.span().span_context().trace_id().to_string();
                assert_eq!(trace == TRACE, continues, "{what}: {given:?}");
                assert_ne!(cx.span().span_context().span_id().to_string(), SPAN, "{what}");
                assert_eq!(values(&next, "tracestate"), Vec::from_iter(state), "{what}: {given:?}");
            }
        });
    });
}

/// The texts that are made live as long as the program: there are a few, once.
fn text(made: String) -> &'static str {
    made.leak()
}

fn w3c_cases(cases: &mut Vec<Case<'static>>) -> Vec<Case<'static>> {
    let mut parents = |what: &'static str, continues: bool, values: &[&'static str]| {
        for value in values {
            let headers = vec![("traceparent", *value), ("tracestate", "foo=1")];
            cases.push((what, headers, continues, continues.then_some("foo=1")));
        }
    };
    parents("version 0", true, &[GOOD]);
    parents("version 0 with a tail", false, &[text(format!("{GOOD}-")), text(format!("{GOOD}-tail"))]);
    parents(
        "a later version, with and without a tail",
        true,
        &[text(format!("cc-{TRACE}-{SPAN}-01")), text(format!("cc-{TRACE}-{SPAN}-01-later"))],
    );
    parents("a later version with another separator", false, &[text(format!("cc-{TRACE}-{SPAN}-01.later"))]);
    parents("version ff", false, &[text(format!("ff-{TRACE}-{SPAN}-01"))]);
    parents(
        "version: characters",
        false,
        &[text(format!(".0-{TRACE}-{SPAN}-01")), text(format!("0.-{TRACE}-{SPAN}-01"))],
    );
    parents(
        "version: length",
        false,
        &[
            text(format!("000-{TRACE}-{SPAN}-01")),
            text(format!("0000-{TRACE}-{SPAN}-01")),
            text(format!("0-{TRACE}-{SPAN}-01")),
        ],
    );
    parents(
        "trace id: zero, characters, length",
        false,
        &[
            text(format!("00-{}-{SPAN}-01", "0".repeat(32))),
            text(format!("00-.{}-{SPAN}-01", &TRACE[1..])),
            text(format!("00-{}.-{SPAN}-01", &TRACE[1..])),
            text(format!("00-{TRACE}3-{SPAN}-01")),
            text(format!("00-{}-{SPAN}-01", &TRACE[1..])),
            text(format!("00-{}-{SPAN}-01", "A".repeat(32))),
        ],
    );
    parents(
        "parent id: zero, characters, length",
        false,
        &[
            text(format!("00-{TRACE}-{}-01", "0".repeat(16))),
            text(format!("00-{TRACE}-.{}-01", &SPAN[1..])),
            text(format!("00-{TRACE}-{}.-01", &SPAN[1..])),
            text(format!("00-{TRACE}-{SPAN}7-01")),
            text(format!("00-{TRACE}-{}-01", &SPAN[1..])),
        ],
    );
    parents(
        "flags: characters, length",
        false,
        &[
            text(format!("00-{TRACE}-{SPAN}-.0")),
            text(format!("00-{TRACE}-{SPAN}-0.")),
            text(format!("00-{TRACE}-{SPAN}-001")),
            text(format!("00-{TRACE}-{SPAN}-1")),
        ],
    );
    parents(
        "blanks round it",
        true,
        &[
            text(format!(" {GOOD}")),
            text(format!("\t{GOOD}")),
            text(format!("{GOOD} ")),
            text(format!("{GOOD}\t")),
            text(format!("\t {GOOD} \t")),
        ],
    );

    let other = "00-12345678901234567890123456789011-1234567890123456-01";
    cases.push(("neither", vec![], false, None));
    cases.push(("no tracestate", vec![("traceparent", GOOD)], true, None));
    cases.push(("two that differ", vec![("traceparent", other), ("traceparent", GOOD)], false, None));
    for name in ["trace-parent", "trace.parent"] {
        cases.push(("another name", vec![(name, GOOD)], false, None));
    }
    for name in ["TraceParent", "TrAcEpArEnT", "TRACEPARENT"] {
        cases.push(("name in another case", vec![(name, GOOD)], true, None));
    }
    cases.push(("tracestate alone", vec![("tracestate", "foo=1")], false, None));
    cases.push((
        "tracestate alone, twice",
        vec![("tracestate", "foo=1"), ("tracestate", "bar=2")],
        false,
        None,
    ));
    cases.push(("both", states(&["foo=1,bar=2"]), true, Some("foo=1,bar=2")));
    for name in ["trace-state", "trace.state"] {
        cases.push(("another name of tracestate", vec![("traceparent", GOOD), (name, "foo=1")], true, None));
    }
    for name in ["TraceState", "TrAcEsTaTe", "TRACESTATE"] {
        cases.push((
            "tracestate in another case",
            vec![("traceparent", GOOD), (name, "foo=1")],
            true,
            Some("foo=1"),
        ));
    }
    cases.push(("an empty tracestate", states(&[""]), true, None));
    cases.push(("an empty tracestate and one more", states(&["foo=1", ""]), true, Some("foo=1")));
    cases.push(("one more and an empty tracestate", states(&["", "foo=1"]), true, Some("foo=1")));
    let several = states(&["foo=1,bar=2", "rojo=1,congo=2", "baz=3"]);
    cases.push(("several lines", several, true, Some("foo=1,bar=2,rojo=1,congo=2,baz=3")));
    for twice in ["foo=1,foo=1", "foo=1,foo=2"] {
        cases.push(("a key twice", states(&[twice]), true, Some(twice)));
    }
    cases.push(("a key twice over two lines", states(&["foo=1", "foo=2"]), true, Some("foo=1,foo=2")));
    let characters = "abcdefghijklmnopqrstuvwxyz0123456789_-*/=\
                      !\"#$%&'()*+-./0123456789:;<>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~";
    cases.push(("all characters of keys and values", states(&[characters]), true, Some(characters)));
    let tenant = "foo@=1,bar@vendor=2,a@b@c=3";
    cases.push(("keys with @", states(&[tenant]), true, Some(tenant)));
    for blanks in ["foo=1 \t , \t bar=2", " foo=1,bar=2", "foo=1,bar=2\t"] {
        cases.push(("blanks round members", states(&[blanks]), true, Some("foo=1,bar=2")));
    }
    for key in ["foo =1", "FOO=1", "foo.bar=1", "@foo=1", "=1", "_foo=1"] {
        cases.push(("key: characters", states(&[key]), true, None));
    }
    let list = |count: usize| text((0..count).map(|n| format!("bar{n:02}=1")).collect::<Vec<_>>().join(","));
    cases.push(("32 members", states(&[list(32)]), true, Some(list(32))));
    cases.push(("33 members", states(&[list(33)]), true, None));
    let long = text(format!("{}=1", "z".repeat(256)));
    cases.push(("a key of 256", states(&[long]), true, Some(long)));
    cases.push(("a key of 257", states(&[text(format!("{}=1", "z".repeat(257)))]), true, None));
    for value in ["foo=bar=baz", "foo=,bar=3", "foo=", "foo=a\u{7f}"] {
        cases.push(("value: characters", states(&[value]), true, None));
    }
    cases.push(("flag random", vec![("traceparent", text(format!("00-{TRACE}-{SPAN}-03")))], true, None));
    std::mem::take(cases)
}

/// T2
#[tokio::test]
async fn t2_traceparent_of_every_kind() {
    let path = Path::new();
    let other = "00-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-1234567890123456-01";
    let aaa = "a".repeat(32);
    let good = || header("traceparent", GOOD);
    let cases: Vec<(&str, Vec<RawHeader>, Option<&str>)> = vec![
        ("twice, equal", vec![good(), good()], Some(TRACE)),
        ("twice, the nearest writer is the last", vec![good(), header("Traceparent", other)], Some(&aaa)),
        ("null after a good one", vec![good(), (b"traceparent".to_vec(), None)], Some(TRACE)),
        ("null", vec![(b"traceparent".to_vec(), None)], None),
        ("empty", vec![header("traceparent", "")], None),
        ("garbage", vec![header("traceparent", "garbage")], None),
        ("garbage after a good one", vec![good(), header("traceparent", [0xff; 55])], Some(TRACE)),
        ("mixed case", vec![header("TraceParent", GOOD)], Some(TRACE)),
        ("upper-case digits", vec![header("traceparent", other.to_ascii_uppercase())], None),
        ("version ff", vec![header("traceparent", GOOD.replacen("00", "ff", 1))], None),
        ("a tail", vec![header("traceparent", format!("{GOOD}-x"))], None),
        ("zero trace id", vec![header("traceparent", GOOD.replace(TRACE, &"0".repeat(32)))], None),
        (
            "zero span id",
            vec![header("traceparent", GOOD.replace(&format!("-{SPAN}-"), "-0000000000000000-"))],
            None,
        ),
    ];
    for (what, headers, expected) in cases {
        let (cx, next) = path.hop(headers).await;
        let trace = cx.span().span_context().trace_id().to_string();
        match expected {
            Some(expected) => assert_eq!(trace, expected, "{what}"),
            None => assert!(trace != TRACE && trace != aaa, "{what}"),
        }
        assert_eq!(values(&next, "traceparent").len(), 1, "{what}");
    }
}

/// T3
#[tokio::test]
async fn t3_tracestate_and_baggage_at_their_limits() {
    let path = Path::new();
    let list = |count: usize| (0..count).map(|n| format!("k{n}=1")).collect::<Vec<_>>().join(",");
    let (long, longest) = (format!("a={}", "x".repeat(8_191)), format!("a={}", "x".repeat(8_190)));
    let cases: Vec<(&str, &str, Vec<String>, usize)> = vec![
        ("several are joined", "tracestate", vec!["a=1".to_owned(), String::new(), "b=2,c=3".to_owned()], 3),
        ("33 members", "tracestate", vec![list(33)], 0),
        ("65 members", "baggage", vec![list(65)], 0),
        ("64 members", "baggage", vec![list(64)], 64),
        ("8,193 bytes", "baggage", vec![long], 0),
        ("8,192 bytes", "baggage", vec![longest], 1),
        ("bad percent-encoding", "baggage", vec!["a=%zz,b=%4,c=ok,d=%ff".to_owned()], 1),
    ];
    for (what, name, given, members) in cases {
        let headers = std::iter::once(header("traceparent", GOOD));
        let headers = headers.chain(given.iter().map(|value| header(name, value))).collect();
        let (cx, next) = path.hop(headers).await;
        assert_eq!(cx.span().span_context().trace_id().to_string(), TRACE, "{what}: the trace is kept");
        let written = values(&next, name);
        assert_eq!(
            written.first().map_or(0, |value| value.split(',').count()),
            members,
            "{what}: {written:?}"
        );
        assert_eq!(written.len(), usize::from(members > 0), "{what}: an empty one is not written");
    }
    let (cx, next) = path.hop(vec![header("tracestate", "a=1")]).await;
    assert!(cx.span().span_context().is_valid());
    assert!(values(&next, "tracestate").is_empty(), "tracestate alone is no context");
    let (cx, _) = path.hop(vec![header("baggage", "plan=gold")]).await;
    assert_eq!(cx.baggage().get("plan").unwrap().as_str(), "gold", "baggage needs no trace");
}

/// The headers of other tracers.
fn others() -> Vec<RawHeader> {
    vec![
        header("b3", format!("{}-{SPAN}-1", "b".repeat(32))),
        header("X-B3-TraceId", "b".repeat(32)),
        header("uber-trace-id", format!("{}:{SPAN}:0:1", "c".repeat(32))),
        header("x-datadog-trace-id", "1234567890"),
        header("x-datadog-parent-id", "1234567890"),
        header("elasticapmtraceparent", [0, 0, 0xff, 0xfe, 1, 2, 3]),
    ]
}

/// T4
#[tokio::test]
async fn t4_headers_of_other_tracers_stay_untouched() {
    let cluster = cluster(1);
    let producer = producer(&cluster.bootstrap());
    let given = others().into_iter().chain([header("TRACEPARENT", GOOD)]).collect::<Vec<_>>();
    log(&cluster, &RawBatch::of([RawRecord::with_headers(given)]));
    let consumer = consumer(&cluster.bootstrap());
    let message = soon(consumer.recv()).await.unwrap();
    process(&message, ProcessOptions::new(), async {
        producer.send(Record::copy_of(&message).to_future_record(), WAIT).await.map_err(|(error, _)| error)
    })
    .await
    .unwrap();
    let sent_on = soon(consumer.recv()).await.unwrap();
    let arrived = raw(&sent_on);
    assert_eq!(arrived[..6], others());
    assert_eq!(arrived.len(), 7);
    assert_eq!(extract_trace_context(&sent_on).span().span_context().trace_id().to_string(), TRACE);
}

/// T4: sends a record under a root and gives the span of the send with the headers that arrived.
async fn sent(cluster: &Cluster) -> (SpanKind, Vec<RawHeader>) {
    let producer = producer(&cluster.bootstrap());
    let (cx, trace) = root();
    let record = FutureRecord::<str, str>::to(TOPIC).payload("{}");
    producer.send(record, WAIT).with_context(cx).await.unwrap();
    let consumer = consumer(&cluster.bootstrap());
    let message = soon(consumer.recv()).await.unwrap();
    let spans = spans(trace);
    (named(&spans, "send orders").span_kind.clone(), raw(&message))
}

/// T4
#[test]
fn t4_b3_is_written_if_configured() {
    let path = concat!(module_path!(), "::t4_b3_is_written_if_configured");
    super::alone::run(path, WAIT, || {
        install(Setup::new("t4").propagators([Format::B3]));
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let cluster = cluster(1);
            let (kind, headers) = sent(&cluster).await;
            assert_eq!(kind, SpanKind::Producer);
            assert_eq!(headers.len(), 1);
            assert_eq!(values(&headers, "b3").len(), 1);

            let path = Path::new();
            let (cx, _) = path.hop(others()).await;
            assert_eq!(cx.span().span_context().trace_id().to_string(), "b".repeat(32));
            let (cx, next) = path.hop(vec![header("traceparent", GOOD)]).await;
            assert_ne!(cx.span().span_context().trace_id().to_string(), TRACE, "not asked for, not read");
            assert!(values(&next, "traceparent").is_empty());
        });
    });
}

/// T4
#[test]
fn t4_nothing_is_written_without_a_propagator() {
    let path = concat!(module_path!(), "::t4_nothing_is_written_without_a_propagator");
    super::alone::run(path, WAIT, || {
        install(Setup::new("t4").propagators([]));
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let (kind, headers) = sent(&cluster(1)).await;
            assert_eq!((kind, headers), (SpanKind::Client, vec![]));
        });
    });
}

/// T5, T-1: a message that is copied, sent on, sent again after a failure, and kept by its owner.
#[tokio::test]
async fn t5_ten_hops_and_a_retry_leave_one_traceparent() {
    let cluster = cluster(1);
    let producer = producer(&cluster.bootstrap());
    let consumer = consumer(&cluster.bootstrap());
    let (cx, trace) = root();
    let first = OwnedHeaders::new()
        .insert(Header { key: "traceparent", value: Some("stale") })
        .insert(Header { key: "x", value: Some("1") });
    let clone = first.clone();
    let record = || FutureRecord::<str, str>::to(TOPIC).payload("{}").headers(first.clone());
    producer.send(record(), WAIT).with_context(cx.clone()).await.unwrap();
    for _ in 0..10 {
        let message = soon(consumer.recv()).await.unwrap();
        process(&message, ProcessOptions::new(), async {
            let copy = Record::copy_of(&message);
            // A send that fails, and the same record again.
            producer.send(copy.to_future_record().partition(7), WAIT).await.unwrap_err();
            producer.send(copy.to_future_record().partition(0), WAIT).await.map_err(|(error, _)| error)
        })
        .await
        .unwrap();
    }
    let last = soon(consumer.recv()).await.unwrap();
    assert_eq!(raw(&last)[0], header("x", "1"));
    assert_eq!(raw(&last).len(), 2);
    assert_eq!(extract_trace_context(&last).span().span_context().trace_id(), trace);
    // java #17530
    assert_eq!(Headers::copy_of(&clone).get("traceparent"), Some(Some(&b"stale"[..])));
    let spans = spans(trace);
    assert_eq!(all(&spans, "process orders").len(), 10);
    assert_eq!(all(&spans, "send orders").len(), 21);
}

/// T5, T-3: a custom context is kept in each way of giving it, and the send is CLIENT and links to it.
#[tokio::test]
async fn t5_custom_contexts_are_kept_and_linked() {
    let cluster = cluster(1);
    let producer = producer(&cluster.bootstrap());
    let keeping = producer.with_options(SendOptions::new().existing(Existing::Keep));
    let consumer = consumer(&cluster.bootstrap());
    let plain = || FutureRecord::<str, str>::to(TOPIC).payload("{}");
    for way in ["creation_context", "set by hand", "kept", "a record's own", "existing = keep"] {
        let ((created, _), (cx, trace)) = (root(), root());
        let id = created.span().span_context().span_id();
        let delivered = async {
            match way {
                "creation_context" => {
                    producer.send(plain().creation_context(created), WAIT).await.map_err(|(error, _)| error)
                }
                "set by hand" => {
                    let mut creation = CreationContext::none();
                    creation.set(created);
                    producer.send(plain().creation(creation), WAIT).await.map_err(|(error, _)| error)
                }
                "kept" => {
                    let creation = CreationContext::received(created).keep();
                    producer.send(plain().creation(creation), WAIT).await.map_err(|(error, _)| error)
                }
                "a record's own" => {
                    let record = Record::to(TOPIC).with_value("{}").creation_context(created);
                    producer.send_record(&record, WAIT).await
                }
                _ => {
                    let mut headers = OwnedHeaders::new();
                    inject_context(&created, &mut headers);
                    keeping.send(plain().headers(headers), WAIT).await.map_err(|(error, _)| error)
                }
            }
        };
        delivered.with_context(cx).await.unwrap();
        let message = soon(consumer.recv()).await.unwrap();
        assert_eq!(extract_trace_context(&message).span().span_context().span_id(), id, "{way}");
        assert_eq!(raw(&message).len(), 1, "{way}");
        let spans = spans(trace);
        let send = named(&spans, "send orders");
        assert_eq!(send.span_kind, SpanKind::Client, "{way}");
        assert_eq!(send.links.links[0].span_context.span_id(), id, "{way}");
    }

    // What came with a message and is only copied is replaced.
    for way in ["received", "a record's own"] {
        let ((created, _), (cx, trace)) = (root(), root());
        let received = CreationContext::received(created);
        let delivered = async {
            if way == "received" {
                producer.send(plain().creation(received), WAIT).await.map_err(|(error, _)| error)
            } else {
                let record = Record::to(TOPIC).with_value("{}").with_creation(received);
                producer.send_record(&record, WAIT).await
            }
        };
        delivered.with_context(cx).await.unwrap();
        let message = soon(consumer.recv()).await.unwrap();
        assert_eq!(extract_trace_context(&message).span().span_context().trace_id(), trace, "{way}");
        let spans = spans(trace);
        assert_eq!(named(&spans, "send orders").span_kind, SpanKind::Producer, "{way}");
    }
}

/// T5: a record that failed becomes a dead letter, which is sent again: one traceparent in each, and its reasons stay.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t5_a_dead_letter_that_is_sent_again_has_one_traceparent() {
    let path = Path::new();
    path.cluster.mock().create_topic("dead", 1, 1).unwrap();
    let (cx, trace) = root();
    let record = Record::to(TOPIC).with_value("{}").with_header("x", "1");
    path.producer.send_record(&record, WAIT).with_context(cx).await.unwrap();
    let mut config = config(&path.cluster.bootstrap());
    config
        .set("group.protocol", "consumer")
        .set("auto.offset.reset", "earliest")
        .set("fetch.wait.max.ms", "10");
    let consumer = Consumer::from_config(config).group("dead").topics([TOPIC]).dead_letter("dead");
    let retries = Backoff::default().attempts(3).initial(Duration::from_millis(1));
    let runner = consumer.retry(retries).start(async |_: Record| Err::<(), _>("no")).unwrap();
    let letters = consumer_of(&path.cluster.bootstrap(), "dead", 0);
    let letter = soon(letters.recv()).await.unwrap();
    soon(runner.close(WAIT)).await.unwrap();
    path.producer.send_record(&Record::copy_of(&letter).with_topic(NEXT), WAIT).await.unwrap();
    let again = soon(path.next.recv()).await.unwrap();

    let spans = spans(trace);
    let first = named(&spans, "send orders").span_context.span_id();
    assert_eq!(extract_trace_context(&letter).span().span_context().span_id(), first, "K-10: kept");
    assert_eq!(all(&spans, "process orders").len(), 3);
    assert_ne!(extract_trace_context(&again).span().span_context().span_id(), first, "a send of its own");
    for message in [&letter, &again] {
        let headers = raw(message);
        assert_eq!(values(&headers, "traceparent").len(), 1);
        assert_eq!(values(&headers, "x"), ["1"]);
        assert_eq!(values(&headers, "__dlq.errors.topic"), [TOPIC]);
    }
}

/// T5: an unsampled trace goes on unsampled.
#[tokio::test]
async fn t5_an_unsampled_parent_is_passed_on() {
    let path = Path::new();
    let unsampled = format!("00-{TRACE}-{SPAN}-00");
    let (cx, next) = path.hop(vec![header("traceparent", unsampled)]).await;
    assert_eq!(cx.span().span_context().trace_id().to_string(), TRACE);
    assert!(!cx.span().span_context().is_sampled());
    assert!(values(&next, "traceparent")[0].ends_with("-00"));
}

/// T5: what other tests' helpers write is what is read.
#[test]
fn a_context_travels_in_one_header() {
    let (cx, _) = root();
    let with_baggage = cx.with_baggage([KeyValue::new("plan", "gold")]);
    let names: Vec<_> = carrying(&with_baggage).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, [b"traceparent".to_vec(), b"baggage".to_vec()]);
    let mut none: Vec<(String, String)> = Vec::new();
    inject_context(&Context::new(), &mut none);
    assert!(none.is_empty());
}
