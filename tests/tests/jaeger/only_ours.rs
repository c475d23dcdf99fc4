//! What Jaeger 2.20 answers and 2.13.0 does not; and that 2.13.0 does not.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use throughline_tests::store::Fixture;

use crate::plain::plain;
use crate::server::{Ours, Theirs};
use crate::spans::{ALL, LONG, ODD, ODD_SERVICE, ORDER, ORPHAN, SHORT, SLOW, at_rfc3339, at_us};

crate::on_both!(
    status_and_kind_are_found_as_attributes,
    summaries_are_those_of_the_traces,
    both_spellings_of_parameters_are_one,
    attributes_and_filters_of_version_3_find,
    search_without_a_depth_finds_a_hundred,
    newest_traces_come_first_and_are_the_ones_of_a_limit,
    dependencies_of_version_3_are_those_of_version_1,
    unknown_paths_are_not_found,
    ids_in_base64_are_read_by_version_3,
);

/// peers.md, the table: what 2.13.0 does instead. Should it be built from a later release, our allowances would have to go.
#[tokio::test]
async fn jaeger_is_as_the_table_of_the_design_has_it() {
    let Some(theirs) = Theirs::filled().await else { return };
    let range = range();
    let v1 = format!(
        "/api/traces?service=bank&limit=100&start={}&end={}",
        at_us(-3_600_000_000),
        at_us(3_600_000_000)
    );
    for (path, status, is_empty) in [
        // `tags={"error":"true"}`, `{"span.kind":"client"}` in v1 find nothing in memory storage.
        (format!("{v1}&tags=%7B%22error%22:%22true%22%7D"), 200, true),
        (format!("{v1}&tags=%7B%22span.kind%22:%22client%22%7D"), 200, true),
        // `query.attributes` in v3 is ignored.
        (
            format!("/api/v3/traces?{range}&query.num_traces=100&query.attributes=%7B%22a%22:%22b%22%7D"),
            200,
            false,
        ),
        // Without `query.num_traces` 500.
        (format!("/api/v3/traces?{range}"), 500, true),
        // camelCase is not known.
        ("/api/v3/traces?query.startTimeMin=x&query.startTimeMax=y".to_owned(), 400, true),
        // trace-summaries, v3 dependencies, and unknown paths: 200 with the placeholder page.
        (format!("/api/v3/trace-summaries?{range}"), 200, true),
        ("/api/v3/dependencies".to_owned(), 200, true),
        ("/api/nothing".to_owned(), 200, true),
    ] {
        let answer = theirs.get(&path).await;
        assert_eq!(answer.status, status, "{path}");
        let found = answer.body["data"].as_array().map_or(0, Vec::len)
            + answer.body["result"]["resourceSpans"].as_array().map_or(0, Vec::len);
        assert_eq!(found == 0, is_empty, "{path}: {}", answer.body);
    }
}

/// Everything, in the spelling of 2.13.
fn range() -> String {
    let (from, to) = (at_rfc3339(-3_600_000_000), at_rfc3339(3_600_000_000));
    format!("query.start_time_min={from}&query.start_time_max={to}")
}

/// In the present spelling.
fn camel(query: &str) -> String {
    let (from, to) = (at_rfc3339(-3_600_000_000), at_rfc3339(3_600_000_000));
    format!("query.startTimeMin={from}&query.startTimeMax={to}&{query}")
}

fn escaped(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

fn set<'a>(ids: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut ids: Vec<String> = ids.into_iter().map(|id| format!("{id:0>32}")).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// The ids that version 1 finds.
async fn found_by_1(ours: &Ours, query: &str) -> Vec<String> {
    let range = format!("start={}&end={}", at_us(-3_600_000_000), at_us(3_600_000_000));
    let answer = ours.get(&format!("/api/traces?{range}&{query}")).await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.body);
    set(answer.body["data"].as_array().unwrap().iter().map(|trace| trace["traceID"].as_str().unwrap()))
}

/// The ids that version 3 finds, as traces and as summaries.
async fn found_by_3(ours: &Ours, query: &str) -> Vec<String> {
    let summaries = ours.get(&format!("/api/v3/trace-summaries?{}", camel(query))).await;
    assert_eq!(summaries.status, 200, "{query}: {}", summaries.body);
    let of_summaries = set(summaries.body["summaries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|trace| trace["traceId"].as_str().unwrap()));
    let traces = ours.get(&format!("/api/v3/traces?{}", camel(query))).await;
    assert_eq!(traces.status, if of_summaries.is_empty() { 404 } else { 200 }, "{query}");
    let plain = plain(&traces.body);
    let spans = plain["result"].as_array().cloned().unwrap_or_default();
    let of_traces = set(spans.iter().map(|span| span["span"]["traceId"].as_str().unwrap()));
    assert_eq!(of_traces, of_summaries, "{query}");
    of_summaries
}

async fn status_and_kind_are_found_as_attributes(f: Fixture) {
    let ours = Ours::filled(f.store).await;
    for (service, attributes, found) in [
        ("bank", r#"{"error":"true"}"#, vec![SLOW]),
        ("shop", r#"{"error":"true"}"#, vec![ORDER]),
        ("gate", r#"{"error":"true"}"#, vec![]),
        ("gate", r#"{"error":"false"}"#, vec![ORDER, LONG]),
        ("bank", r#"{"span.kind":"client"}"#, vec![SLOW]),
        ("bank", r#"{"span.kind":"client","error":"true"}"#, vec![]),
        ("bank", r#"{"span.kind":"server","error":"true"}"#, vec![SLOW]),
        ("bank", r#"{"span.kind":"consumer"}"#, vec![ORDER]),
        ("gate", r#"{"otel.status_code":"OK"}"#, vec![ORDER]),
        ("shop", r#"{"otel.status_code":"ERROR"}"#, vec![ORDER]),
        ("gate", r#"{"otel.status_code":"OK","error":"true"}"#, vec![]),
        ("gate", r#"{"otel.scope.name":"http"}"#, vec![ORDER, LONG]),
        ("gate", r#"{"otel.scope.version":"2"}"#, vec![]),
    ] {
        assert_eq!(
            found_by_1(&ours, &format!("service={service}&tags={}", escaped(attributes))).await,
            set(found.clone())
        );
        let query = format!("query.serviceName={service}&query.attributes={}", escaped(attributes));
        assert_eq!(found_by_3(&ours, &query).await, set(found), "{service} {attributes}");
    }
}

/// What a list of traces has to say, counted from the traces of version 1.
fn counted(trace: &Value) -> Value {
    let spans = trace["spans"].as_array().unwrap();
    let service = |span: &Value| {
        trace["processes"][span["processID"].as_str().unwrap()]["serviceName"].as_str().unwrap().to_owned()
    };
    let is_error =
        |span: &Value| span["tags"].as_array().unwrap().iter().any(|field| field["key"] == "error");
    let parent = |span: &Value| {
        let references = span["references"].as_array().unwrap().iter();
        references
            .clone()
            .find(|reference| reference["refType"] == "CHILD_OF")
            .map(|parent| parent["spanID"].clone())
    };
    let mut services: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for span in spans {
        let counts = services.entry(service(span)).or_default();
        *counts = (counts.0 + 1, counts.1 + u64::from(is_error(span)));
    }
    let orphans = spans.iter().filter(|span| {
        parent(span).is_some_and(|parent| spans.iter().all(|other| other["spanID"] != parent))
    });
    json!({
        "traceId": format!("{:0>32}", trace["traceID"].as_str().unwrap()),
        "spanCount": spans.len(),
        "errorSpanCount": services.values().map(|(_, errors)| errors).sum::<u64>(),
        "orphanSpanCount": orphans.count(),
        "services": services.iter().map(|(name, (spans, errors))| json!({ "name": name, "spanCount": spans, "errorSpanCount": errors })).collect::<Vec<_>>(),
        "minStartTimeUs": spans.iter().map(|span| span["startTime"].as_u64().unwrap()).min(),
    })
}

async fn summaries_are_those_of_the_traces(f: Fixture) {
    let ours = Ours::filled(f.store).await;
    let theirs = Theirs::filled().await;
    let answer = ours.get(&format!("/api/v3/trace-summaries?{}", camel(""))).await;
    let summaries = answer.body["summaries"].as_array().unwrap().clone();
    assert_eq!(summaries.len(), ALL.len());
    for summary in &summaries {
        let id = summary["traceId"].as_str().unwrap();
        let path = format!("/api/traces/{id}");
        let trace = match &theirs {
            Some(theirs) => theirs.get(&path).await.body,
            None => ours.get(&path).await.body,
        };
        let expected = counted(&trace["data"][0]);
        for key in ["traceId", "spanCount", "errorSpanCount", "orphanSpanCount", "services"] {
            assert_eq!(summary[key], expected[key], "{key} of {id}");
        }
        let ns = |key: &str| summary[key].as_str().unwrap().parse::<u64>().unwrap();
        assert_eq!(Some(ns("minStartTimeUnixNano") / 1_000), expected["minStartTimeUs"].as_u64());
        assert!(ns("maxEndTimeUnixNano") >= ns("minStartTimeUnixNano"));
    }
    let of = |id: &str| summaries.iter().find(|summary| summary["traceId"] == id).unwrap().clone();
    let roots = |id: &str| {
        let summary = of(id);
        (
            summary["rootServiceName"].as_str().unwrap().to_owned(),
            summary["rootOperationName"].as_str().unwrap().to_owned(),
        )
    };
    let names = |service: &str, operation: &str| (service.to_owned(), operation.to_owned());
    assert_eq!(roots(ORDER), names("gate", "GET /orders/{id}"));
    assert_eq!(roots(ODD), names(ODD_SERVICE, "a/b?c=d&e"));
    assert_eq!(roots(ORPHAN), names("bank", "charge"), "the earliest span while the root is missing");
    let nanoseconds = (at_us(0) * 1_000 + 123).to_string();
    assert_eq!(of(ORDER)["minStartTimeUnixNano"], nanoseconds, "exact, as a decimal string");
}

async fn both_spellings_of_parameters_are_one(f: Fixture) {
    let ours = Ours::filled(f.store).await;
    let snake = format!(
        "{}&query.service_name=bank&query.operation_name=charge&query.duration_min=1s&query.duration_max=3s&query.num_traces=5",
        range()
    );
    let present = camel(
        "query.serviceName=bank&query.operationName=charge&query.durationMin=1s&query.durationMax=3s&query.searchDepth=5",
    );
    for path in ["/api/v3/traces", "/api/v3/trace-summaries"] {
        let (of_snake, of_camel) =
            (ours.get(&format!("{path}?{snake}")).await, ours.get(&format!("{path}?{present}")).await);
        assert_eq!((of_snake.status, &of_snake.body), (200, &of_camel.body), "{path}");
    }
    assert_eq!(found_by_3(&ours, &present).await, set([SLOW]));
    let operations = |kind: &str| format!("/api/v3/operations?service=bank&{kind}=server");
    assert_eq!(ours.get(&operations("spanKind")).await, ours.get(&operations("span_kind")).await);
    let whole = ours.get(&format!("/api/v3/traces/{ORDER}")).await;
    let query = format!("startTime={}&endTime={}&rawTraces=false", at_rfc3339(0), at_rfc3339(1));
    assert_eq!(ours.get(&format!("/api/v3/traces/{ORDER}?{query}")).await, whole, "the range is a hint");
}

async fn attributes_and_filters_of_version_3_find(f: Fixture) {
    let ours = Ours::filled(f.store).await;
    let eq = |subject: &str, value: &str| {
        format!(r#"{{"op":"eq","args":[{subject},{{"scalar":{{"value":"{value}"}}}}]}}"#)
    };
    let field = |name: &str, value: &str| eq(&format!(r#"{{"field":{{"name":"{name}"}}}}"#), value);
    let attribute = |level: &str, key: &str, value: &str| {
        eq(&format!(r#"{{"attr":{{"key":"{key}","level":"{level}"}}}}"#), value)
    };
    let and = |calls: &[String]| {
        let calls: Vec<String> = calls.iter().map(|call| format!(r#"{{"call":{call}}}"#)).collect();
        format!(r#"{{"op":"and","args":[{}]}}"#, calls.join(","))
    };
    for (filter, found) in [
        (field("service", "bank"), vec![ORDER, ORPHAN, SLOW]),
        (field("name", "charge"), vec![ORPHAN, SLOW]),
        (field("status", "error"), vec![ORDER, SLOW]),
        (field("status", "ok"), vec![ORDER]),
        (field("kind", "consumer"), vec![ORDER]),
        (attribute("", "host.name", "b2"), vec![ORDER, SHORT, LONG, ODD]),
        (attribute("span", "host.name", "b2"), vec![]),
        (attribute("span", "whole", "200"), vec![ORDER, ODD]),
        (and(&[attribute("span", "whole", "200"), field("service", "gate")]), vec![ORDER]),
        (
            and(&[and(&[field("kind", "server")]), field("status", "error"), field("service", "bank")]),
            vec![SLOW],
        ),
        (and(&[field("service", "gate"), field("service", "shop")]), vec![]),
    ] {
        assert_eq!(
            found_by_3(&ours, &format!("query.filter={}", escaped(&filter))).await,
            set(found),
            "{filter}"
        );
    }
    for filter in [r#"{"op":"or","args":[]}"#, r#"{"op":"gt","args":[]}"#, "no JSON"] {
        let answer = ours
            .get(&format!("/api/v3/trace-summaries?{}", camel(&format!("query.filter={}", escaped(filter)))))
            .await;
        assert_eq!((answer.status, &answer.body["error"]["httpCode"]), (400, &json!(400)), "{filter}");
    }
}

async fn search_without_a_depth_finds_a_hundred(f: Fixture) {
    let ours = Ours::filled(f.store).await;
    assert_eq!(found_by_3(&ours, "").await, set(ALL));
    let more: Vec<Value> = (1..=100_u32)
        .map(|id| {
            let start = (at_us(i64::from(id)) * 1_000).to_string();
            json!({ "traceId": format!("{:032x}", 0xc000 + id), "spanId": "00000000000000c1", "name": "many", "kind": 1,
                    "startTimeUnixNano": start, "endTimeUnixNano": start })
        })
        .collect();
    let service = json!([{ "key": "service.name", "value": { "stringValue": "many" } }]);
    ours.receive(&json!({ "resourceSpans": [{ "resource": { "attributes": service }, "scopeSpans": [{ "spans": more }] }] })).await;
    assert_eq!(found_by_3(&ours, "").await.len(), 100);
    assert_eq!(found_by_1(&ours, "service=many").await.len(), 100);
    assert_eq!(found_by_3(&ours, "query.searchDepth=106").await.len(), 106);
}

async fn newest_traces_come_first_and_are_the_ones_of_a_limit(f: Fixture) {
    let ours = Ours::filled(f.store).await;
    let range = format!("start={}&end={}", at_us(-3_600_000_000), at_us(3_600_000_000));
    let answer = ours.get(&format!("/api/traces?service=bank&limit=2&{range}")).await;
    let ids: Vec<&str> = answer.body["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|trace| trace["traceID"].as_str().unwrap())
        .collect();
    assert_eq!(ids, [SLOW, ORPHAN]);
    assert_eq!(found_by_3(&ours, "query.serviceName=bank&query.searchDepth=2").await, set([SLOW, ORPHAN]));
}

async fn dependencies_of_version_3_are_those_of_version_1(f: Fixture) {
    let ours = Ours::filled(f.store).await;
    let (from, to) = (at_rfc3339(-3_600_000_000), at_rfc3339(3_600_000_000));
    let third = ours.get(&format!("/api/v3/dependencies?startTime={from}&endTime={to}")).await;
    let first =
        ours.get(&format!("/api/dependencies?endTs={}&lookback=7200000", at_us(3_600_000_000) / 1_000)).await;
    let expected: Vec<Value> = first.body["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|edge| json!({ "parent": edge["parent"], "child": edge["child"], "callCount": edge["callCount"].to_string() }))
        .collect();
    assert!(
        expected.contains(&json!({ "parent": "gate", "child": "shop", "callCount": "2" })),
        "{expected:?}"
    );
    assert_eq!(third.body, json!({ "dependencies": expected }));
    for wrong in [
        "",
        "?startTime=x&endTime=y",
        &format!("?startTime={from}"),
        &format!("?startTime={to}&endTime={from}"),
    ] {
        assert_eq!(ours.get(&format!("/api/v3/dependencies{wrong}")).await.status, 400, "{wrong}");
    }
}

async fn unknown_paths_are_not_found(f: Fixture) {
    let ours = Ours::over(f.store);
    for path in ["/api", "/api/", "/api/nothing", "/search", "/api/traces/", "/api/metrics/calls?service=a"] {
        let answer = ours.get(path).await;
        assert_eq!((answer.status, &answer.body["errors"][0]["code"]), (404, &json!(404)), "{path}");
        assert_eq!(answer.body["data"], Value::Null, "{path}");
    }
    for path in ["/api/v3/", "/api/v3/nothing", "/api/v3/traces/"] {
        let answer = ours.get(path).await;
        assert_eq!((answer.status, &answer.body["error"]["httpCode"]), (404, &json!(404)), "{path}");
    }
}

async fn ids_in_base64_are_read_by_version_3(f: Fixture) {
    let ours = Ours::filled(f.store).await;
    let whole = ours.get(&format!("/api/v3/traces/{SHORT}")).await;
    assert_eq!(whole.status, 200);
    assert_eq!(ours.get("/api/v3/traces/AAAAAAAAAAAAAAAAAAAAqw==").await, whole);
    assert_eq!(ours.get("/api/v3/traces/AAAAAAAAAAAAAAAAAAAAqw%3D%3D").await, whole);
    assert_eq!(ours.get("/api/v3/traces/AAAAAAAAAAAAAAAAAAAArw==").await.status, 404);
}
