//! Our side alone: what stands in an answer, and what is said of a request that cannot be carried out.

use http::Method;
use serde_json::{Value, json};
use throughline_tests::store::Fixture;

use crate::server::Ours;
use crate::spans::{ODD_SERVICE, ORDER, ORPHAN, SHORT, at_us};

crate::on_both!(
    nothing_stored_is_an_empty_answer,
    trace_has_the_shape_of_version_1,
    warnings_are_left_out_of_raw_traces,
    some_of_several_ids_may_be_missing,
    errors_name_the_parameter,
    other_methods_are_not_allowed,
    pretty_answers_have_lines,
);

async fn nothing_stored_is_an_empty_answer(f: Fixture) {
    let ours = Ours::over(f.store);
    let nothing = json!({ "data": [], "total": 0, "limit": 0, "offset": 0, "errors": null });
    for path in [
        "/api/services",
        "/api/services/x/operations",
        "/api/operations?service=x",
        "/api/traces?service=x",
        "/api/dependencies",
    ] {
        let answer = ours.get(path).await;
        assert_eq!((answer.status, &answer.body), (200, &nothing), "{path}");
    }
    let range = "query.startTimeMin=2026-01-01T00:00:00Z&query.startTimeMax=2026-01-02T00:00:00Z";
    for (path, body) in [
        ("/api/v3/services".to_owned(), json!({ "services": [] })),
        ("/api/v3/operations?service=x".to_owned(), json!({ "operations": [] })),
        (format!("/api/v3/trace-summaries?{range}"), json!({ "summaries": [] })),
    ] {
        let answer = ours.get(&path).await;
        assert_eq!((answer.status, answer.body), (200, body), "{path}");
    }
    assert_eq!(ours.get(&format!("/api/v3/traces?{range}")).await.status, 404);
}

async fn trace_has_the_shape_of_version_1(f: Fixture) {
    let ours = Ours::filled(f.store).await;
    let answer = ours.get(&format!("/api/traces/{SHORT}")).await;
    let start = at_us(10_000);
    assert_eq!(
        answer.body,
        json!({
            "data": [{
                "traceID": "00000000000000ab",
                "spans": [{
                    "traceID": "00000000000000ab",
                    "spanID": "0000000000000001",
                    "operationName": "idle",
                    "references": [],
                    "startTime": start,
                    "duration": 1,
                    "tags": [
                        { "key": "otel.scope.name", "type": "string", "value": "http" },
                        { "key": "otel.scope.version", "type": "string", "value": "1.2.3" },
                        { "key": "span.kind", "type": "string", "value": "internal" },
                    ],
                    "logs": [],
                    "processID": "p1",
                    "warnings": null,
                }],
                "processes": { "p1": { "serviceName": "shop", "tags": [{ "key": "host.name", "type": "string", "value": "b2" }] } },
                "warnings": null,
            }],
            "total": 0,
            "limit": 0,
            "offset": 0,
            "errors": null,
        })
    );
    let services = ours.get("/api/services").await.body;
    let mut names = ["gate", "shop", "bank", ODD_SERVICE];
    names.sort_unstable();
    assert_eq!(services, json!({ "data": names, "total": 4, "limit": 0, "offset": 0, "errors": null }));
}

async fn warnings_are_left_out_of_raw_traces(f: Fixture) {
    let ours = Ours::filled(f.store).await;
    let warnings = |answer: Value| answer["data"][0]["spans"][0]["warnings"].clone();
    let told = warnings(ours.get(&format!("/api/traces/{ORPHAN}")).await.body);
    assert!(told[0].as_str().unwrap().contains("0000000000000077"), "{told}");
    assert_eq!(warnings(ours.get(&format!("/api/traces/{ORPHAN}?raw=true")).await.body), Value::Null);
    let attributes = |answer: Value| {
        answer["result"]["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["attributes"].to_string()
    };
    let told = attributes(ours.get(&format!("/api/v3/traces/{ORPHAN}")).await.body);
    assert!(told.contains("@jaeger@warnings") && told.contains("0000000000000077"), "{told}");
    assert_eq!(attributes(ours.get(&format!("/api/v3/traces/{ORPHAN}?rawTraces=true")).await.body), "null");
}

async fn some_of_several_ids_may_be_missing(f: Fixture) {
    let ours = Ours::filled(f.store).await;
    let answer = ours.get(&format!("/api/traces?traceID=1234&traceID=ab&traceID={ORDER}&traceID=5678")).await;
    assert_eq!(answer.status, 200);
    let ids: Vec<&Value> =
        answer.body["data"].as_array().unwrap().iter().map(|trace| &trace["traceID"]).collect();
    assert_eq!(ids, ["00000000000000ab", ORDER], "in the order of the question");
    let missing: Vec<&Value> =
        answer.body["errors"].as_array().unwrap().iter().map(|error| &error["traceID"]).collect();
    assert_eq!(missing, ["0000000000001234", "0000000000005678"]);
}

async fn errors_name_the_parameter(f: Fixture) {
    let ours = Ours::over(f.store);
    for (path, status, word) in [
        ("/api/traces", 400, "service"),
        ("/api/operations", 400, "service"),
        ("/api/traces?service=s&limit=0", 400, "limit"),
        ("/api/traces?service=s&tag=x", 400, "tag"),
        ("/api/traces/xyz", 400, "hexadecimal"),
        ("/api/traces/1", 404, "not stored"),
        ("/api/dependencies?lookback=x", 400, "lookback"),
    ] {
        let answer = ours.get(path).await;
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(answer.body["data"], Value::Null, "{path}");
        assert_eq!(answer.body["errors"][0]["code"], status, "{path}");
        let message = answer.body["errors"][0]["msg"].as_str().unwrap();
        assert!(message.contains(word), "{path}: {message}");
    }
    for (path, status, word) in [
        ("/api/v3/traces", 400, "startTimeMin"),
        ("/api/v3/trace-summaries", 400, "startTimeMin"),
        ("/api/v3/traces/xyz", 400, "hexadecimal"),
        ("/api/v3/traces/1", 404, "No traces found"),
        ("/api/v3/traces/1?startTime=x", 400, "startTime"),
        ("/api/v3/dependencies", 400, "startTime"),
    ] {
        let answer = ours.get(path).await;
        assert_eq!((answer.status, &answer.body["error"]["httpCode"]), (status, &json!(status)), "{path}");
        let message = answer.body["error"]["message"].as_str().unwrap();
        assert!(message.contains(word), "{path}: {message}");
    }
}

async fn other_methods_are_not_allowed(f: Fixture) {
    let ours = Ours::over(f.store);
    for path in ["/api/traces", "/api/services", "/api/v3/traces", "/api/v3/services"] {
        for method in [Method::POST, Method::PUT, Method::DELETE] {
            assert_eq!(ours.raw(method, path).await.0.as_u16(), 405, "{path}");
        }
    }
}

async fn pretty_answers_have_lines(f: Fixture) {
    let ours = Ours::filled(f.store).await;
    let text = |path: &'static str| {
        let ours = ours.clone();
        async move { String::from_utf8(ours.raw(Method::GET, path).await.1).unwrap() }
    };
    let plain = text("/api/services").await;
    let pretty = text("/api/services?prettyPrint=true").await;
    assert!(!plain.contains('\n') && pretty.contains("\n    \"data\": ["), "{pretty}");
    assert_eq!(text("/api/services?prettyPrint=false").await, plain);
}
