//! Nothing that a request holds makes us fail: every answer is one of ours, and none is a 5xx.

use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use throughline_tests::store::Fixture;

use crate::server::Ours;
use crate::spans::{ALL, at_rfc3339};

crate::on_both!(hostile_requests_are_answered, hostile_spans_are_told);

const VALUES: [&str; 34] = [
    "",
    "x",
    "0",
    "-1",
    "1.5",
    "9223372036854775807",
    "-9223372036854775808",
    "99999999999999999999999999",
    "1e308",
    "NaN",
    "inf",
    "true",
    "null",
    "{}",
    "[]",
    "{\"a\":\"b\"}",
    "{\"a\":1}",
    "{\"a",
    "{\"\":\"\"}",
    "{\"a\\u0000b\":\"c\\u0000\"}",
    "'; drop table execution_traces; --",
    "\" or 1=1 --",
    "$.attributes[*]",
    "a:b",
    ":",
    "a\0b:c\0",
    "\u{feff}é😀\u{202e}",
    "%00%ff%zz",
    "../../../etc/passwd",
    "2026-08-11T12:00:00Z",
    "-9999-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999999Z",
    "106751h",
    "-1ns",
];

const SEARCH_1: &[&str] = &[
    "service",
    "operation",
    "limit",
    "start",
    "end",
    "minDuration",
    "maxDuration",
    "tag",
    "tags",
    "traceID",
    "raw",
    "prettyPrint",
];

const SEARCH_3: &[&str] = &[
    "query.serviceName",
    "query.operation_name",
    "query.startTimeMin",
    "query.startTimeMax",
    "query.durationMin",
    "query.duration_max",
    "query.searchDepth",
    "query.num_traces",
    "query.attributes",
    "query.filter",
    "query.rawTraces",
];

/// Well-formed requests, and the parameters of which one is then spoilt.
fn whole() -> Vec<(String, &'static [&'static str])> {
    let range = format!("query.startTimeMin={}&query.startTimeMax={}", at_rfc3339(-1), at_rfc3339(1));
    let dependencies = format!("/api/v3/dependencies?startTime={}&endTime={}", at_rfc3339(-1), at_rfc3339(1));
    vec![
        ("/api/operations?service=gate".to_owned(), &["service", "spanKind"]),
        ("/api/traces?service=gate".to_owned(), SEARCH_1),
        ("/api/traces/ab?x=1".to_owned(), &["start", "end", "raw"]),
        ("/api/dependencies?x=1".to_owned(), &["endTs", "lookback", "service"]),
        ("/api/v3/operations?service=gate".to_owned(), &["service", "spanKind", "span_kind"]),
        ("/api/v3/traces/ab?x=1".to_owned(), &["startTime", "end_time", "rawTraces"]),
        (format!("/api/v3/traces?{range}"), SEARCH_3),
        (format!("/api/v3/trace-summaries?{range}"), SEARCH_3),
        (dependencies, &["startTime", "endTime"]),
    ]
}

fn is_ours(path: &str, status: u16, body: &Value) {
    assert!(matches!(status, 200 | 400 | 404), "{path}: {status} {body}");
    if path.starts_with("/api/v3") {
        let is_error = body["error"]["httpCode"] == status;
        assert_eq!(is_error, status != 200, "{path}: {body}");
    } else {
        assert!(body["errors"].is_null() || body["errors"].is_array(), "{path}: {body}");
        assert_eq!(body["data"].is_null(), status != 200, "{path}: {body}");
    }
}

async fn hostile_requests_are_answered(f: Fixture) {
    let ours = Ours::filled(f.store).await;
    for (path, parameters) in whole() {
        for parameter in parameters {
            for value in VALUES {
                let value = utf8_percent_encode(value, NON_ALPHANUMERIC);
                // Before the right one: the first counts.
                let path = path.replacen('?', &format!("?{parameter}={value}&"), 1);
                let answer = ours.get(&path).await;
                is_ours(&path, answer.status, &answer.body);
            }
        }
    }
    for value in VALUES.into_iter().filter(|value| !value.is_empty()) {
        let value = utf8_percent_encode(value, NON_ALPHANUMERIC);
        for path in [
            format!("/api/traces/{value}"),
            format!("/api/services/{value}/operations"),
            format!("/api/v3/traces/{value}"),
        ] {
            let answer = ours.get(&path).await;
            is_ours(&path, answer.status, &answer.body);
        }
    }
    for path in ["/api/traces/%ff%fe", "/api/services/%ff/operations", "/api/v3/traces/%ff"] {
        let answer = ours.get(path).await;
        is_ours(path, answer.status, &answer.body);
    }
    // Long and deep.
    let long = "a".repeat(50_000);
    let deep = "%5B".repeat(10_000);
    let many = "&tag=a:b".repeat(5_000);
    let ids = "&traceID=ab".repeat(4_000);
    for path in [
        format!("/api/traces?service={long}"),
        format!("/api/traces?service=gate&tag={long}:{long}").replace(&long, &"a".repeat(20_000)),
        format!("/api/traces?service=gate&tags={deep}"),
        format!("/api/traces?service=gate{many}"),
        format!("/api/traces?x=1{ids}"),
        format!("/api/traces/{long}"),
        format!("/api/v3/traces/{long}"),
        format!("/api/v3/traces?query.filter={deep}"),
    ] {
        let answer = ours.get(&path).await;
        is_ours(path.get(..60).unwrap(), answer.status, &answer.body);
    }
    for id in ALL {
        assert_eq!(ours.get(&format!("/api/traces/{id}")).await.status, 200, "nothing was lost");
    }
}

async fn hostile_spans_are_told(f: Fixture) {
    let ours = Ours::over(f.store);
    let text = "\0\u{1}\u{7f}\u{202e}</script>\"'\\;--";
    let start = (crate::spans::at_us(0) * 1_000).to_string();
    let pair = |key: &str, value: Value| serde_json::json!({ "key": key, "value": value });
    let string = |value: &str| serde_json::json!({ "stringValue": value });
    let span = |id: &str, parent: &str| {
        serde_json::json!({
            "traceId": "000000000000000000000000000000ee", "spanId": id, "parentSpanId": parent, "name": text, "kind": 99,
            "startTimeUnixNano": start, "endTimeUnixNano": "1", "traceState": text,
            "status": { "code": 2, "message": text },
            "attributes": [pair(text, string(text)), pair("$double", string("x")), pair("same", string("1")), pair("same", string("2")),
                pair("map", serde_json::json!({ "kvlistValue": { "values": [pair("$bytes", string("no base64!"))] } })),
                pair("nan", serde_json::json!({ "doubleValue": "NaN" }))],
            "events": [{ "timeUnixNano": "0", "name": text, "attributes": [pair("event", serde_json::json!({ "intValue": "1" }))] }],
            "links": [{ "traceId": "000000000000000000000000000000ee", "spanId": id }],
        })
    };
    // Its own parent, two that are each other's parent, and one id twice.
    let one = "0000000000000001";
    let (two, three) = ("0000000000000002", "0000000000000003");
    let mut again = span(two, one);
    again["startTimeUnixNano"] = (crate::spans::at_us(5) * 1_000).to_string().into();
    again["endTimeUnixNano"] = again["startTimeUnixNano"].clone();
    let spans = [span(one, one), span(two, three), span(three, two), again];
    let service = serde_json::json!([pair("service.name", string(text))]);
    ours.receive(&serde_json::json!({ "resourceSpans": [{ "resource": { "attributes": service }, "scopeSpans": [{ "spans": spans }] }] })).await;
    for path in ["/api/traces/ee", "/api/v3/traces/ee"] {
        let (status, body) = ours.raw(Method::GET, path).await;
        assert_eq!(status, 200);
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert!(!body.to_string().contains("\\u0000"), "{body}");
    }
    let trace = ours.get("/api/traces/ee").await.body["data"][0].clone();
    assert_eq!(trace["spans"].as_array().unwrap().len(), 4);
    let warned = trace["spans"].as_array().unwrap().iter().filter(|span| span["warnings"].is_array()).count();
    assert_eq!(warned, 1, "of the second one with the same id: {trace}");
    let services = ours.get("/api/services").await.body["data"].clone();
    let service = services[0].as_str().unwrap();
    let found =
        ours.get(&format!("/api/traces?service={}", utf8_percent_encode(service, NON_ALPHANUMERIC))).await;
    assert_eq!(found.body["data"].as_array().unwrap().len(), 1);
}
