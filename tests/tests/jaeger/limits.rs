//! What an answer holds at most, and what is said when the store cannot be asked.

use serde_json::{Value, json};
use throughline::api::ApiOptions;
use throughline::store::{self, StoreOptions};
use throughline_tests::store::Fixture;

use crate::server::Ours;
use crate::spans::at_us;

crate::on_both!(
    long_trace_is_cut_and_says_so,
    traces_that_no_longer_fit_are_left_out_whole,
    answer_is_bounded_by_its_text,
    too_many_queries_are_told_to_wait,
);

fn trace(id: u32, spans: u32, text: &str) -> Value {
    let span = |number: u32| {
        let start = (at_us(i64::from(id) * 1_000 + i64::from(number)) * 1_000).to_string();
        json!({ "traceId": format!("{id:032x}"), "spanId": format!("{number:016x}"), "name": "work", "kind": 1,
                "parentSpanId": if number > 1 { format!("{:016x}", number - 1) } else { String::new() },
                "attributes": [{ "key": "text", "value": { "stringValue": text } }],
                "startTimeUnixNano": start, "endTimeUnixNano": start })
    };
    let service = json!([{ "key": "service.name", "value": { "stringValue": "shop" } }]);
    let spans: Vec<Value> = (1..=spans).map(span).collect();
    json!({ "resourceSpans": [{ "resource": { "attributes": service }, "scopeSpans": [{ "spans": spans }] }] })
}

fn lengths(answer: &Value) -> Vec<(String, usize)> {
    let traces = answer["data"].as_array().unwrap().iter();
    traces
        .map(|trace| {
            (trace["traceID"].as_str().unwrap().to_owned(), trace["spans"].as_array().unwrap().len())
        })
        .collect()
}

async fn long_trace_is_cut_and_says_so(f: Fixture) {
    let ours = Ours::with(f.store, ApiOptions::new().max_spans(40));
    ours.receive(&trace(1, 100, "")).await;
    ours.receive(&trace(2, 40, "")).await;
    let answer = ours.get("/api/traces/1").await;
    assert_eq!((answer.status, lengths(&answer.body)), (200, vec![("0000000000000001".to_owned(), 40)]));
    assert!(answer.body["data"][0]["warnings"][0].as_str().unwrap().contains("40"), "{}", answer.body);
    let answer = ours.get("/api/v3/traces/1").await;
    let spans =
        answer.body["result"]["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().clone();
    assert_eq!(spans.len(), 40);
    assert!(spans[0]["attributes"].to_string().contains("@jaeger@warnings"), "{}", spans[0]);

    let answer = ours.get("/api/traces/2").await;
    assert_eq!(lengths(&answer.body)[0].1, 40);
    assert_eq!(answer.body["data"][0]["warnings"], Value::Null, "all of it is there");
}

async fn traces_that_no_longer_fit_are_left_out_whole(f: Fixture) {
    let ours = Ours::with(f.store, ApiOptions::new().max_spans(50));
    for (id, spans) in [(1, 5), (2, 40), (3, 20)] {
        ours.receive(&trace(id, spans, "")).await;
    }
    let answer = ours.get("/api/traces?service=shop&limit=10").await;
    assert_eq!(lengths(&answer.body), [("0000000000000003".to_owned(), 20)], "40 more would be too many");
    let ids = ours.get("/api/traces?traceID=3&traceID=1").await;
    assert_eq!(lengths(&ids.body).len(), 2);
}

async fn answer_is_bounded_by_its_text(f: Fixture) {
    let ours = Ours::with(f.store, ApiOptions::new().max_answer_bytes(100_000));
    ours.receive(&trace(1, 60, &"x".repeat(10_000))).await;
    let answer = ours.get("/api/traces/1").await;
    let told = lengths(&answer.body)[0].1;
    assert!((1..=10).contains(&told), "{told} spans");
    assert!(answer.body["data"][0]["warnings"][0].is_string());
    // One that is larger than all that may be told is told all the same.
    ours.receive(&trace(2, 3, &"x".repeat(300_000))).await;
    assert_eq!(lengths(&ours.get("/api/traces/2").await.body)[0].1, 1);
}

async fn too_many_queries_are_told_to_wait(f: Fixture) {
    let ours = Ours::with(f.store, ApiOptions::new().max_queries(0));
    let first = ours.get("/api/services").await;
    assert_eq!((first.status, &first.body["errors"][0]["code"]), (429, &json!(429)));
    let third = ours.get("/api/v3/services").await;
    assert_eq!((third.status, &third.body["error"]["httpCode"]), (429, &json!(429)));
    for path in ["/api/services", "/api/v3/services"] {
        assert_eq!(ours.retry_after(path).await.as_deref(), Some("1"), "{path}");
    }
}

#[tokio::test]
async fn store_that_is_away_is_told_in_both_versions() {
    let folder = std::env::temp_dir().join(format!("throughline-jaeger-none-{}", std::process::id()));
    let url = format!("sqlite:{}", folder.join("no/such/folder/traces.db").display());
    let ours = Ours::over(store::open(StoreOptions::new(url)).unwrap());
    let range = "query.startTimeMin=2026-01-01T00:00:00Z&query.startTimeMax=2026-01-02T00:00:00Z";
    for path in ["/api/services", "/api/traces/1", "/api/traces?service=s", "/api/dependencies"] {
        let answer = ours.get(path).await;
        assert_eq!((answer.status, &answer.body["errors"][0]["code"]), (503, &json!(503)), "{path}");
        assert!(
            !answer.body.to_string().contains("sqlite"),
            "nothing of the store's own words: {}",
            answer.body
        );
    }
    for path in ["/api/v3/services", "/api/v3/traces/1", &format!("/api/v3/trace-summaries?{range}")] {
        let answer = ours.get(path).await;
        assert_eq!((answer.status, &answer.body["error"]["httpCode"]), (503, &json!(503)), "{path}");
    }
}
