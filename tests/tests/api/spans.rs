//! The spans of a trace, its critical path, its export.

use opentelemetry::KeyValue;
use opentelemetry::trace::{Event, Link, SpanContext, SpanId, TraceFlags, TraceId, TraceState};
use serde_json::Value as Json;
use throughline::api::ApiOptions;
use throughline_tests::store::{Fixture, begin, ms, rows, span};

use crate::support::{Answer, Server, hex};

crate::on_both!(
    spans_come_by_start_as_a_bare_array,
    span_keeps_events_links_and_types,
    long_traces_come_in_parts_that_a_link_names,
    answers_end_where_their_text_grows_too_long,
    critical_path_is_told_by_time,
    export_is_otlp_json,
);

async fn spans_come_by_start_as_a_bare_array(f: Fixture) {
    let spans = [span(1, 2, 1, begin() + ms(1)), span(1, 1, 0, begin()), span(2, 1, 0, begin())];
    f.store.write(rows(spans)).await.unwrap();
    let server = Server::start(&f).await;
    let answer = server.get(&format!("/api/traces/{}/spans", hex(1))).await;
    assert_eq!(answer.header("link"), None, "there is no more");
    assert_eq!(ids(&answer.json()), [1, 2]);
    let upper = server.get(&format!("/api/traces/{}/spans", hex(0xabc).to_uppercase())).await;
    upper.problem(404);
}

fn ids(spans: &Json) -> Vec<u64> {
    let id = |span: &Json| u64::from_str_radix(span["span_id"].as_str().unwrap(), 16).unwrap();
    spans.as_array().unwrap().iter().map(id).collect()
}

async fn span_keeps_events_links_and_types(f: Fixture) {
    let mut one = span(1, 1, 0, begin()).fails("Deadline_Exceeded").attribute("n", 3).attribute("x", 2.0);
    one = one.attribute("nan", f64::NAN).attribute("text", "a\"b\u{1}é");
    one.data.events.events.push(Event::new("cache.miss", begin() + ms(1), vec![KeyValue::new("k", 1)], 0));
    let linked = SpanContext::new(
        TraceId::from(7_u128),
        SpanId::from(8_u64),
        TraceFlags::SAMPLED,
        true,
        TraceState::NONE,
    );
    one.data.links.links.push(Link::new(linked, vec![KeyValue::new("why", "batch")], 0));
    f.store.write(rows([one])).await.unwrap();
    let spans = Server::start(&f).await.get(&format!("/api/traces/{}/spans", hex(1))).await.json();
    let span = &spans[0];
    assert_eq!(span["attributes"]["n"], 3);
    assert!(span["attributes"]["x"].is_f64(), "a double stays one");
    assert_eq!(span["attributes"]["nan"]["$double"], "NaN");
    assert_eq!(span["attributes"]["text"], "a\"b\u{1}é");
    assert_eq!((&span["status"], &span["status_code"]), (&"timeout".into(), &"ERROR".into()));
    assert_eq!(
        (&span["error_type"], &span["error_message"]),
        (&"Deadline_Exceeded".into(), &"it failed".into())
    );
    assert_eq!(span["events"][0]["name"], "cache.miss");
    assert_eq!(span["events"][0]["attributes"]["k"], 1);
    assert!(span["events"][0]["time"].as_str().unwrap().ends_with(".001000Z"));
    assert_eq!(span["links"][0]["trace_id"], hex(7));
    assert_eq!(span["links"][0]["span_id"], "0000000000000008");
    assert_eq!(span["links"][0]["attributes"]["why"], "batch");
    assert!(span["created_at"].as_str().unwrap().ends_with('Z'));
}

/// Follows `Link` to the end.
async fn all(server: &Server, path: &str) -> Vec<Answer> {
    let mut answers = vec![server.get(path).await];
    while let Some(link) = answers.last().unwrap().header("link") {
        let query = link.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap();
        let path = path.split('?').next().unwrap();
        answers.push(server.get(&format!("{path}{query}")).await);
        assert!(answers.len() < 1_000);
    }
    answers
}

async fn long_traces_come_in_parts_that_a_link_names(f: Fixture) {
    // Several begin at once.
    let spans = (1..=50_u64).map(|id| span(1, id, u64::from(id > 1), begin() + ms(id / 4)));
    f.store.write(rows(spans)).await.unwrap();
    let server = Server::start(&f).await;
    let parts = all(&server, &format!("/api/traces/{}/spans?limit=7", hex(1))).await;
    assert_eq!(parts.len(), 8);
    let seen: Vec<u64> = parts.iter().flat_map(|part| ids(&part.json())).collect();
    assert_eq!(seen, (1..=50).collect::<Vec<_>>());
    let exactly = server.get(&format!("/api/traces/{}/spans?limit=50", hex(1))).await;
    assert_eq!(exactly.header("link"), None);
}

async fn answers_end_where_their_text_grows_too_long(f: Fixture) {
    let spans = (1..=9_u64)
        .map(|id| span(1, id, u64::from(id > 1), begin() + ms(id)).attribute("text", "x".repeat(100_000)));
    f.store.write(rows(spans)).await.unwrap();
    let server = Server::with(&f.store, ApiOptions::new().max_answer_bytes(250_000)).await;
    for path in ["spans", "export"] {
        let parts = all(&server, &format!("/api/traces/{}/{path}", hex(1))).await;
        assert_eq!(parts.len(), 3, "{path}");
        assert!(parts.iter().all(|part| part.text.len() < 400_000));
        let found: usize = parts.iter().map(|part| part.text.matches(&"x".repeat(100_000)).count()).sum();
        assert_eq!(found, 9, "{path}");
    }
}

async fn critical_path_is_told_by_time(f: Fixture) {
    let spans = [
        span(1, 1, 0, begin()).lasts(ms(100)),
        span(1, 2, 1, begin() + ms(10)).lasts(ms(60)),
        span(1, 3, 1, begin() + ms(20)).lasts(ms(20)),
    ];
    f.store.write(rows(spans)).await.unwrap();
    let path = Server::start(&f).await.get(&format!("/api/traces/{}/critical-path", hex(1))).await.json();
    let steps: Vec<(u64, f64)> = ids(&path)
        .into_iter()
        .zip(path.as_array().unwrap().iter().map(|s| s["self_ms"].as_f64().unwrap()))
        .collect();
    assert_eq!(steps, [(1, 10.0), (2, 60.0), (1, 30.0)]);
    assert_eq!(path[0]["end"], path[1]["start"]);
}

async fn export_is_otlp_json(f: Fixture) {
    f.store
        .write(rows([span(1, 1, 0, begin()).attribute("n", 3), span(1, 2, 1, begin()).service("bank")]))
        .await
        .unwrap();
    let answer = Server::start(&f).await.get(&format!("/api/traces/{}/export", hex(1))).await;
    let resources = &answer.json()["resourceSpans"];
    assert_eq!(resources.as_array().unwrap().len(), 2);
    let span = &resources[0]["scopeSpans"][0]["spans"][0];
    assert_eq!(span["traceId"], hex(1));
    assert_eq!(span["spanId"], "0000000000000001");
    assert_eq!(span["attributes"][0]["value"]["intValue"], "3");
}
