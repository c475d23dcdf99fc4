//! What no client with good intentions sends.

use serde_json::Value as Json;
use throughline::api::ApiOptions;
use throughline_tests::store::{Fixture, begin, rows, span};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::{Server, hex, numbers};

crate::on_both!(
    no_text_becomes_sql,
    hostile_values_come_back_as_they_are,
    broken_requests_break_nothing,
    spans_of_any_size_are_read_a_few_at_a_time
);

const TEXTS: [&str; 10] = [
    "'; drop table execution_traces; --",
    "\" or 1=1 --",
    "%27%20or%201=1",
    "\\",
    "$1",
    "?1",
    "a\0b",
    "{\"$double\":\"NaN\"}",
    "\u{202e}\u{feff}😀",
    "1e999",
];

/// A path with one parameter, all of whose value is escaped.
fn asked(path: &str, name: &str, value: &str) -> String {
    let value: String = value.bytes().map(|byte| format!("%{byte:02X}")).collect();
    format!("{path}?{name}={value}")
}

async fn no_text_becomes_sql(f: Fixture) {
    f.store.write(rows([span(1, 1, 0, begin())])).await.unwrap();
    let server = Server::start(&f).await;
    for text in TEXTS {
        for name in ["task_id", "plan_id", "agent_id", "tool_id", "service", "operation_name"] {
            let answer = server.get(&asked("/api/traces/", name, text)).await;
            assert_eq!(answer.json()["traces"], Json::Array(vec![]), "{name}={text}");
        }
        for attribute in [format!("{text}:x"), format!("x:{text}"), format!("\"{text}:{text}")] {
            let path = asked("/api/traces/stats/summary", "attr", &attribute);
            let answer = server.get(&path).await;
            assert_eq!(answer.json()["total"], 0, "{attribute}");
        }
        let path = asked("/api/operations", "service", text);
        server.get(&path).await.json();
    }
    assert_eq!(server.list("").await, [1], "all is still there");
}

async fn hostile_values_come_back_as_they_are(f: Fixture) {
    for (n, text) in (1_u128..).zip(TEXTS) {
        let one =
            span(n, 1, 0, begin()).service(text).name(text).attribute("k", text).attribute("task_id", text);
        f.store.write(rows([one])).await.unwrap();
    }
    let server = Server::start(&f).await;
    for (n, text) in (1_u128..).zip(TEXTS) {
        // PostgreSQL cannot hold U+0000, so neither store does.
        let text = &text.replace('\0', "\u{fffd}");
        let trace = server.get(&format!("/api/traces/{}", hex(n))).await.json();
        for field in ["service_name", "operation_name", "task_id"] {
            assert_eq!(trace[field], *text);
        }
        assert_eq!(trace["attributes"]["k"], *text);
        for (name, value) in
            [("service", text.clone()), ("task_id", text.clone()), ("attr", format!("k:{text}"))]
        {
            let path = asked("/api/traces/", name, &value);
            let answer = server.get(&path).await.json();
            assert_eq!(numbers(&answer["traces"]), [n], "{name}: {text}");
        }
    }
}

async fn broken_requests_break_nothing(f: Fixture) {
    let server = Server::start(&f).await;
    let address = server.base.strip_prefix("http://").unwrap();
    let long =
        format!("GET /api/traces/?service={} HTTP/1.1\r\nHost: localhost\r\n\r\n", "x".repeat(200_000));
    let headers =
        format!("GET /api/services HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "a: b\r\n".repeat(5_000));
    for request in [
        "\r\n\r\n",
        "GET\r\n\r\n",
        "GET /api/services HTTP/1.1\r\n\r\n",
        "GET /api/services HTTP/1.1\r\nHost: a\u{1}b\r\n\r\n",
        "GET /api/services HTTP/1.1\r\nHost: \u{e9}\r\n\r\n",
        "GET /api/services HTTP/9.9\r\nHost: localhost\r\n\r\n",
        "GET /api/traces/?%%%=%zz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        "GET /api/traces/?=&&=&?? HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        "GET /api/traces/%00 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        "GET http://evil.example/api/services HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        "HEAD /api/traces/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        &long,
        &headers,
    ] {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let _ = stream.write_all(request.as_bytes()).await;
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer);
        let start: String = request.chars().take(60).collect();
        assert!(!answer.starts_with("HTTP/1.1 5"), "{start:?}: {answer}");
        assert!(!answer.contains("evil") || answer.starts_with("HTTP/1.1 403"), "{answer}");
    }
    server.get("/api/services").await.json();
}

/// The store gives out 1 MiB at once, and each span has a tenth of that.
async fn spans_of_any_size_are_read_a_few_at_a_time(f: Fixture) {
    let large = |trace, id| span(trace, id, 0, begin()).attribute("text", "x".repeat(100_000));
    f.store
        .write(rows((1..=40).map(|id| large(1, id)).chain((2..=30).map(|trace| large(trace, 1)))))
        .await
        .unwrap();
    let store = f.open(|options| options.max_answer_bytes(1 << 20));
    let server = Server::with(&store, ApiOptions::new()).await;
    let spans = server.get(&format!("/api/traces/{}/spans", hex(1))).await.json();
    assert_eq!(spans.as_array().unwrap().len(), 40);
    let problem = server.get("/api/traces/").await.problem(400);
    assert!(problem["detail"].as_str().unwrap().contains("ask for less"), "{problem}");
    assert_eq!(server.list("page_size=5").await.len(), 5);
}
