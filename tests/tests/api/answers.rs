//! Statistics, names, dependencies, health.

use opentelemetry::trace::SpanKind;
use serde_json::{Value as Json, json};
use throughline::api::ApiOptions;
use throughline_tests::store::{Fixture, begin, ms, rows, span};

use crate::support::{Server, hex, utc};

crate::on_both!(
    summary_counts_spans,
    summary_takes_filters,
    latency_counts_each_span_once,
    names_are_listed,
    dependencies_are_kept_for_a_while,
    health_tells_state_and_counters,
);

async fn fill(f: &Fixture) {
    let spans = [
        span(1, 1, 0, begin()).name("GET /").kind(SpanKind::Server).lasts(ms(10)),
        span(1, 2, 1, begin()).service("bank").name("charge").lasts(ms(20)).fails("io"),
        span(2, 1, 0, begin()).name("GET /").kind(SpanKind::Server).lasts(ms(30)).fails("timeout"),
        span(2, 2, 1, begin()).kind(SpanKind::Client).attribute("db.namespace", "orders").lasts(ms(40)),
    ];
    f.store.write(rows(spans)).await.unwrap();
}

async fn summary_counts_spans(f: Fixture) {
    fill(&f).await;
    let server = Server::start(&f).await;
    let summary = server.get("/api/traces/stats/summary").await.json();
    let expected = json!({"total": 4, "success": 2, "error": 1, "timeout": 1, "traces": 2, "error_rate": 0.5,
        "avg_duration_ms": 25.0, "p50_ms": 20.0, "p90_ms": 40.0, "p95_ms": 40.0, "p99_ms": 40.0});
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(summary[field], *value, "{field}");
    }
    let services: Vec<&Json> = field(&summary["by_service"], "service_name");
    assert_eq!(services, ["bank", "shop"]);
    assert_eq!(summary["by_service"][1]["total"], 3);
    assert_eq!(summary["by_service"][1]["timeout"], 1);
    let operations: Vec<&Json> = field(&summary["by_operation"], "operation_name");
    assert_eq!(operations, ["charge", "GET /", "work"]);

    let empty = server.get("/api/traces/stats/summary?service=nobody").await.json();
    assert_eq!(
        (&empty["total"], &empty["error_rate"], &empty["p99_ms"]),
        (&json!(0), &json!(0.0), &json!(0.0))
    );
}

fn field<'j>(array: &'j Json, name: &str) -> Vec<&'j Json> {
    array.as_array().unwrap().iter().map(|item| &item[name]).collect()
}

async fn summary_takes_filters(f: Fixture) {
    fill(&f).await;
    let server = Server::start(&f).await;
    let after = utc(begin() + ms(1_000));
    for (query, total) in [
        ("service=shop".to_owned(), 3),
        ("status=error".into(), 1),
        ("operation_name=get".into(), 2),
        (format!("trace_id={}", hex(2)), 2),
        ("min_duration_ms=20&max_duration_ms=30".into(), 2),
        (format!("start_time_from={after}Z"), 0),
        (format!("start_time_to={after}"), 4),
    ] {
        let summary = server.get(&format!("/api/traces/stats/summary?{query}")).await.json();
        assert_eq!(summary["total"], total, "{query}");
    }
}

async fn latency_counts_each_span_once(f: Fixture) {
    fill(&f).await;
    let latency = Server::start(&f).await.get("/api/traces/stats/latency").await.json();
    assert_eq!((&latency["count"], &latency["sum_ms"]), (&json!(4), &json!(100.0)));
    let buckets = latency["buckets"].as_array().unwrap();
    assert_eq!(buckets.len(), 17);
    assert_eq!(buckets[4], json!({"le_ms": 10.0, "count": 1}));
    assert_eq!(buckets[5], json!({"le_ms": 50.0, "count": 3}));
    assert_eq!(buckets[16], json!({"le_ms": null, "count": 0}));
}

async fn names_are_listed(f: Fixture) {
    fill(&f).await;
    let server = Server::start(&f).await;
    assert_eq!(server.get("/api/services").await.json(), json!({"services": ["bank", "shop"]}));
    let all = server.get("/api/operations").await.json();
    assert_eq!(field(&all["operations"], "name"), ["GET /", "charge", "work"]);
    let shop = server.get("/api/operations?service=shop&kind=client").await.json();
    assert_eq!(shop, json!({"operations": [{"name": "work", "kind": "client"}]}));
}

async fn dependencies_are_kept_for_a_while(f: Fixture) {
    fill(&f).await;
    let server = Server::start(&f).await;
    let expected = json!({"edges": [
        {"parent": "shop", "child": "bank", "calls": 1, "errors": 1, "p95_ms": 20.0},
        {"parent": "shop", "child": "orders", "calls": 1, "errors": 0, "p95_ms": 40.0}]});
    assert_eq!(server.get("/api/dependencies").await.json(), expected);
    f.store.write(rows([span(3, 1, 0, begin()), span(3, 2, 1, begin()).service("post")])).await.unwrap();
    assert_eq!(server.get("/api/dependencies").await.json(), expected, "60 s have not passed");
    let (from, to) = (utc(begin()), utc(begin() + ms(1_000)));
    let other =
        server.get(&format!("/api/dependencies?start_time_from={from}&start_time_to={to}")).await.json();
    assert_eq!(
        field(&other["edges"], "child"),
        ["bank", "orders", "post"],
        "another range is another question"
    );
    let none = server.get(&format!("/api/dependencies?start_time_from={to}")).await.json();
    assert_eq!(none, json!({"edges": []}));
}

async fn health_tells_state_and_counters(f: Fixture) {
    fill(&f).await;
    let server = Server::with(&f.store, ApiOptions::new().token("secret")).await;
    let known = server.request("/health").bearer_auth("secret");
    let known = known.header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    let health = crate::support::Answer::of(known).await.json();
    assert_eq!(
        (&health["status"], &health["trace_id"]),
        (&json!("healthy"), &json!("0af7651916cd43dd8448eb211c80319c"))
    );
    assert!(health["store"]["schema"].as_i64().unwrap() >= 1);
    assert!(health["store"]["size_bytes"].as_u64().unwrap() > 0);
    assert_eq!(health["store"]["oldest"], format!("{}.000000Z", utc(begin())));
    assert_eq!(health["counters"]["queries_failed"], 0);
    let stranger = server.get("/health/").await.json();
    assert_eq!(stranger["status"], "healthy");
    assert_eq!((stranger.get("store"), stranger.get("counters")), (None, None), "a probe learns no more");
}
