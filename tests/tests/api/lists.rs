//! The list of traces: each parameter, and paging.

use std::collections::BTreeSet;

use opentelemetry::trace::SpanKind;
use throughline_tests::store::{Fixture, begin, ms, rows, span};

use crate::support::{Server, hex, numbers, utc};

crate::on_both!(
    each_parameter_narrows_the_list,
    conditions_hold_for_one_span,
    pages_and_cursors_show_every_trace_once,
    trace_has_the_fields_of_its_root,
    earliest_span_stands_for_a_missing_root,
);

async fn fill(f: &Fixture) {
    let spans = [
        span(1, 1, 0, begin())
            .name("planning.generate_plan")
            .kind(SpanKind::Server)
            .attribute("task_id", "t-1")
            .attribute("plan_id", "p 1&x=y"),
        span(1, 2, 1, begin() + ms(1)).service("bank").lasts(ms(500)).attribute("http.status", 503),
        span(2, 1, 0, begin() + ms(10_000)).fails("timeout").attribute("gen_ai.agent.id", "a-1"),
        span(3, 1, 0, begin() + ms(20_000)).fails("io").attribute("gen_ai.tool.name", "search"),
        span(3, 2, 1, begin() + ms(20_001)).attribute("url", "http://x:80/é").attribute("ok", true),
    ];
    f.store.write(rows(spans)).await.unwrap();
}

async fn each_parameter_narrows_the_list(f: Fixture) {
    fill(&f).await;
    let server = Server::start(&f).await;
    let time = |offset: u64| utc(begin() + ms(offset));
    for (query, expected) in [
        (String::new(), vec![3, 2, 1]),
        ("task_id=t-1".into(), vec![1]),
        ("task_id=t-2".into(), vec![]),
        ("plan_id=p+1%26x%3Dy".into(), vec![1]),
        ("agent_id=a-1".into(), vec![2]),
        ("tool_id=search".into(), vec![3]),
        (format!("trace_id={}", hex(2)), vec![2]),
        (format!("trace_id={}", hex(77)), vec![]),
        ("service=bank".into(), vec![1]),
        ("service=Bank".into(), vec![]),
        ("operation_name=PLANNING".into(), vec![1]),
        ("operation_name=o".into(), vec![3, 2, 1]),
        ("status=error".into(), vec![3]),
        ("status=timeout".into(), vec![2]),
        ("status=success".into(), vec![3, 1]),
        ("kind=server".into(), vec![1]),
        ("kind=consumer".into(), vec![]),
        ("min_duration_ms=2.5".into(), vec![1]),
        ("max_duration_ms=1".into(), vec![3, 2, 1]),
        ("min_duration_ms=1.5&max_duration_ms=400".into(), vec![]),
        ("attr=http.status:503".into(), vec![1]),
        ("attr=ok:true".into(), vec![3]),
        ("attr=url:http://x:80/%C3%A9".into(), vec![3]),
        ("attr=ok:true&attr=http.status:503".into(), vec![]),
        (format!("start_time_from={}", time(10_000)), vec![3, 2]),
        (format!("start_time_to={}", time(10_000)), vec![1]),
        (format!("start_time_from={}&start_time_to={}", time(1_000), time(15_000)), vec![2]),
        ("service=".into(), vec![]),
        ("operation_name=".into(), vec![3, 2, 1]),
    ] {
        assert_eq!(server.list(&query).await, expected, "{query}");
    }
}

async fn conditions_hold_for_one_span(f: Fixture) {
    fill(&f).await;
    let server = Server::start(&f).await;
    assert_eq!(server.list("service=bank&min_duration_ms=400").await, [1]);
    assert!(server.list("service=bank&kind=server").await.is_empty(), "two spans of one trace");
}

async fn pages_and_cursors_show_every_trace_once(f: Fixture) {
    let spans = (1..=25_u64).map(|n| span(n.into(), 1, 0, begin() + ms(n / 3)));
    f.store.write(rows(spans)).await.unwrap();
    let server = Server::start(&f).await;
    let whole = server.list("page_size=100").await;
    assert_eq!(whole.len(), 25);

    let mut by_page = Vec::new();
    for page in 1..=4 {
        let answer = server.get(&format!("/api/traces/?page={page}&page_size=8")).await.json();
        assert_eq!((&answer["total"], &answer["total_capped"]), (&25.into(), &false.into()));
        assert_eq!((&answer["page"], &answer["page_size"]), (&page.into(), &8.into()));
        assert_eq!(answer["next_cursor"].is_null(), page == 4);
        by_page.extend(numbers(&answer["traces"]));
    }
    assert_eq!(by_page, whole);
    assert!(server.list("page=5&page_size=8").await.is_empty());

    let mut by_cursor = Vec::new();
    let mut path = "/api/traces/?page_size=7".to_owned();
    loop {
        let answer = server.get(&path).await.json();
        by_cursor.extend(numbers(&answer["traces"]));
        let Some(next) = answer["next_cursor"].as_str() else { break };
        path = format!("/api/traces/?page_size=7&cursor={next}");
        // A newer trace does not move what follows a cursor.
        let new = 100 + by_cursor.len() as u128;
        f.store.write(rows([span(new, 1, 0, begin() + ms(5_000))])).await.unwrap();
    }
    assert_eq!(by_cursor, whole);
    // Pages from a cursor on.
    let answer = server.get("/api/traces/?page_size=7").await.json();
    let cursor = answer["next_cursor"].as_str().unwrap();
    let seen = server.list(&format!("page_size=4&page=2&cursor={cursor}")).await;
    let all = server.list("page_size=100").await;
    assert_eq!(seen, all[11..15]);
    assert_eq!(by_cursor.iter().collect::<BTreeSet<_>>().len(), 25);
}

async fn trace_has_the_fields_of_its_root(f: Fixture) {
    fill(&f).await;
    let server = Server::start(&f).await;
    let list = server.get(&format!("/api/traces/?trace_id={}", hex(1))).await.json();
    let one = server.get(&format!("/api/traces/{}", hex(1))).await.json();
    assert_eq!(list["traces"][0], one, "the list and the path tell the same");
    for (field, expected) in [
        ("id", format!("{}-0000000000000001", hex(1)).into()),
        ("trace_id", hex(1).into()),
        ("span_id", "0000000000000001".into()),
        ("parent_span_id", serde_json::Value::Null),
        ("task_id", "t-1".into()),
        ("plan_id", "p 1&x=y".into()),
        ("agent_id", serde_json::Value::Null),
        ("operation_name", "planning.generate_plan".into()),
        ("service_name", "shop".into()),
        ("kind", "server".into()),
        ("status", "success".into()),
        ("status_code", "UNSET".into()),
        ("duration_ms", 1.0.into()),
        ("duration_ns", "1000000".into()),
        ("span_count", 2.into()),
        ("error_count", 0.into()),
        ("orphan_count", 0.into()),
        ("services", serde_json::json!(["bank", "shop"])),
        ("resource", serde_json::json!({"service.name": "shop"})),
    ] {
        assert_eq!(one[field], expected, "{field}");
    }
    let start = begin().duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(one["start_ns"], start.as_nanos().to_string());
    assert_eq!(one["start_time"], format!("{}.000000Z", utc(begin())));
    assert_eq!(one["attributes"]["task_id"], "t-1");
}

async fn earliest_span_stands_for_a_missing_root(f: Fixture) {
    let spans = [span(9, 2, 1, begin() + ms(3)).name("second"), span(9, 3, 1, begin()).name("first")];
    f.store.write(rows(spans)).await.unwrap();
    let trace = Server::start(&f).await.get(&format!("/api/traces/{}", hex(9))).await.json();
    assert_eq!((&trace["operation_name"], &trace["orphan_count"]), (&"first".into(), &2.into()));
}
