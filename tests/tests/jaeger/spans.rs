//! The spans that all tests here have in common, as an OTLP JSON document: each kind, status, type of attribute, events,
//! links, several services, a parent that never came, an id with sixteen leading zeros.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

/// Gate calls shop, which calls bank over a queue.
pub(crate) const ORDER: &str = "0af7651916cd43dd8448eb211c80319c";
/// Its upper half is zero.
pub(crate) const SHORT: &str = "000000000000000000000000000000ab";
/// The parent of its span never came.
pub(crate) const ORPHAN: &str = "b0000000000000000000000000000003";
/// A service with a name that URLs have to escape.
pub(crate) const ODD: &str = "b0000000000000000000000000000004";
/// Begins twenty minutes before its second span.
pub(crate) const LONG: &str = "b0000000000000000000000000000005";
/// Fails by a timeout.
pub(crate) const SLOW: &str = "b0000000000000000000000000000006";
pub(crate) const ALL: [&str; 6] = [ORDER, SHORT, ORPHAN, ODD, LONG, SLOW];

pub(crate) const ODD_SERVICE: &str = "Bänk & söhne/+ %2F?";

/// An hour ago, on a full second: the same for all tests of a run.
pub(crate) fn begin() -> SystemTime {
    static BEGIN: OnceLock<SystemTime> = OnceLock::new();
    *BEGIN.get_or_init(|| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        SystemTime::UNIX_EPOCH + Duration::from_secs(now - 3_600)
    })
}

/// So many microseconds after the beginning, in microseconds since 1970.
pub(crate) fn at_us(offset_us: i64) -> i64 {
    let begin = begin().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_micros();
    i64::try_from(begin).unwrap() + offset_us
}

/// The same as RFC 3339 has it.
pub(crate) fn at_rfc3339(offset_us: i64) -> String {
    let time = begin() + Duration::from_secs(86_400);
    let time = if offset_us >= 0 {
        time + Duration::from_micros(offset_us.unsigned_abs())
    } else {
        time - Duration::from_micros(offset_us.unsigned_abs())
    } - Duration::from_secs(86_400);
    jiff::Timestamp::try_from(time).unwrap().to_string()
}

fn ns(offset_us: i64, extra_ns: i64) -> String {
    (at_us(offset_us) * 1_000 + extra_ns).to_string()
}

/// `[{"key": .., "value": {..}}]`
fn pairs(attributes: &[(&str, Value)]) -> Value {
    attributes.iter().map(|(key, value)| json!({ "key": key, "value": value })).collect()
}

fn text(value: &str) -> Value {
    json!({ "stringValue": value })
}

fn whole(value: i64) -> Value {
    json!({ "intValue": value.to_string() })
}

/// A span of `(id, parent)`, from when and for how long in microseconds; `more` is merged into it.
fn span(
    trace: &str,
    (id, parent): (u64, u64),
    name: &str,
    kind: u8,
    (start, lasts): (i64, i64),
    more: Value,
) -> Value {
    let mut span = json!({
        "traceId": trace,
        "spanId": format!("{id:016x}"),
        "name": name,
        "kind": kind,
        "startTimeUnixNano": ns(start, 123),
        "endTimeUnixNano": ns(start + lasts, 456),
    });
    let fields = span.as_object_mut().unwrap();
    if parent != 0 {
        fields.insert("parentSpanId".to_owned(), format!("{parent:016x}").into());
    }
    let Value::Object(more) = more else { panic!("an object") };
    fields.extend(more);
    span
}

fn group(service: &str, resource: &[(&str, Value)], scope: &Value, spans: &[Value]) -> Value {
    let mut attributes = vec![("service.name", text(service))];
    attributes.extend(resource.iter().cloned());
    json!({
        "resource": { "attributes": pairs(&attributes) },
        "scopeSpans": [{ "scope": scope, "spans": spans }],
    })
}

/// Every type that there is, and what is hard to print.
fn every_type() -> Value {
    let list = json!({ "arrayValue": { "values": [text("a"), whole(1), { "doubleValue": 2.5 }, { "boolValue": true }] } });
    let map = json!({ "kvlistValue": { "values": [{ "key": "k", "value": text("v") }, { "key": "l", "value": whole(2) }] } });
    pairs(&[
        ("text", text("plain")),
        ("text.empty", text("")),
        ("text.odd", text("\"quoted\" \\ \n é 😀 '; drop table spans; --")),
        ("whole", whole(200)),
        ("whole.negative", whole(-5)),
        ("whole.exact", whole((1 << 53) - 1)),
        ("whole.large", whole((1 << 53) + 1)),
        ("whole.largest", whole(i64::MAX)),
        ("whole.smallest", whole(i64::MIN)),
        ("double", json!({ "doubleValue": 0.1 })),
        ("double.whole", json!({ "doubleValue": 3.0 })),
        ("double.large", json!({ "doubleValue": 1e300 })),
        ("double.small", json!({ "doubleValue": 2.5e-9 })),
        ("yes", json!({ "boolValue": true })),
        ("no", json!({ "boolValue": false })),
        ("bytes", json!({ "bytesValue": "AQIDBA==" })),
        ("list", list.clone()),
        ("list.empty", json!({ "arrayValue": {} })),
        ("list.nested", json!({ "arrayValue": { "values": [list] } })),
        ("map", map),
        ("baggage.user.id", text("u-17")),
        (
            "http.request.header.baggage",
            json!({ "arrayValue": { "values": [text("user.id=u-17,tier=gold;x=y")] } }),
        ),
    ])
}

/// All of them, in one request.
pub(crate) fn document() -> Value {
    let http = json!({ "name": "http", "version": "1.2.3", "attributes": pairs(&[("stable", json!({ "boolValue": true }))]) });
    let gate = vec![
        span(
            ORDER,
            (1, 0),
            "GET /orders/{id}",
            2,
            (0, 500_000),
            json!({
                "traceState": "vendor=a:1,other=b",
                "flags": 257,
                "status": { "code": 1 },
                "attributes": every_type(),
                "events": [
                    { "timeUnixNano": ns(1_000, 7), "name": "cache miss", "attributes": pairs(&[("cache.key", text("k1")), ("cache.size", whole(3))]) },
                    { "timeUnixNano": ns(2_000, 0), "name": "named twice", "attributes": pairs(&[("event", text("its own"))]) },
                    { "timeUnixNano": ns(3_000, 0), "name": "bare" },
                ],
            }),
        ),
        span(
            ORDER,
            (2, 1),
            "GET",
            3,
            (1_000, 400_000),
            json!({ "attributes": pairs(&[("server.address", text("shop"))]) }),
        ),
        span(LONG, (1, 0), "nightly", 1, (-1_200_000_000, 1_500_000_000), json!({})),
    ];
    let shop = vec![
        span(
            ORDER,
            (3, 2),
            "load order",
            2,
            (2_000, 300_000),
            json!({
                "status": { "code": 2, "message": "no such order" },
                "attributes": pairs(&[("error.type", text("not_found"))]),
                "events": [{ "timeUnixNano": ns(250_000, 0), "name": "exception", "attributes": pairs(&[
                    ("exception.type", text("NotFound")), ("exception.message", text("17")), ("exception.stacktrace", text("at a\n  at b")),
                ]) }],
            }),
        ),
        span(
            ORDER,
            (4, 3),
            "decide",
            1,
            (3_000, 1_000),
            json!({
                "traceState": "vendor=a:1",
                "droppedAttributesCount": 2,
                "droppedEventsCount": 3,
                "droppedLinksCount": 4,
                "links": [
                    { "traceId": SHORT, "spanId": "00000000000000ff", "traceState": "x=y", "flags": 1, "attributes": pairs(&[("why", text("retry"))]) },
                    { "traceId": ORDER, "spanId": format!("{:016x}", 1), "attributes": pairs(&[("opentracing.ref_type", text("child_of"))]) },
                    { "traceId": ORDER, "spanId": format!("{:016x}", 3), "attributes": pairs(&[("opentracing.ref_type", text("follows_from"))]) },
                ],
            }),
        ),
        span(
            ORDER,
            (5, 3),
            "orders publish",
            4,
            (5_000, 2_000),
            json!({ "attributes": pairs(&[("messaging.destination.name", text("orders"))]) }),
        ),
        span(SHORT, (1, 0), "idle", 1, (10_000, 1), json!({})),
        span(LONG, (2, 1), "nightly part", 1, (20_000, 30_000), json!({})),
        // A link alone, to the same trace: it leads the references.
        span(
            LONG,
            (3, 0),
            "detached",
            1,
            (30_000, 40),
            json!({ "links": [
            { "traceId": SHORT, "spanId": "0000000000000001" }, { "traceId": LONG, "spanId": format!("{:016x}", 2) },
        ] }),
        ),
    ];
    let bank = vec![
        span(ORDER, (6, 5), "orders process", 5, (10_000, 100_000), json!({})),
        span(ORPHAN, (1, 0x77), "charge", 0, (40_000, 20_000), json!({})),
        span(
            SLOW,
            (1, 0),
            "charge",
            2,
            (50_000, 2_000_000),
            json!({
                "status": { "code": 2 },
                "attributes": pairs(&[("error.type", text("timeout")), ("whole", whole(504))]),
            }),
        ),
        span(
            SLOW,
            (2, 1),
            "SELECT",
            3,
            (60_000, 1_000_000),
            json!({ "attributes": pairs(&[("db.namespace", text("accounts"))]) }),
        ),
    ];
    let odd = vec![span(
        ODD,
        (1, 0),
        "a/b?c=d&e",
        1,
        (70_000, 5),
        json!({ "attributes": pairs(&[("whole", whole(200))]) }),
    )];
    let host = [("host.name", text("a1")), ("host.cpus", whole(8)), ("load", json!({ "doubleValue": 0.5 }))];
    json!({ "resourceSpans": [
        group("gate", &host, &http, &gate),
        group("shop", &[("host.name", text("b2"))], &http, &shop),
        group("bank", &[], &json!({}), &bank),
        group(ODD_SERVICE, &[("host.name", text("b2"))], &json!({ "name": "odd" }), &odd),
    ] })
}

/// How many spans each trace has.
pub(crate) fn counts() -> [(&'static str, usize); 6] {
    [(ORDER, 6), (SHORT, 1), (ORPHAN, 1), (ODD, 1), (LONG, 3), (SLOW, 2)]
}
