//! The health route.

use axum::Router;
use serde_json::Value;
use throughline::server::{ServerLayer, health_router};

use crate::support::{Caller, get, serve, traces};

async fn health(answer: reqwest::Response) -> Value {
    assert_eq!(answer.status(), 200);
    serde_json::from_slice(&answer.bytes().await.expect("a body")).expect("JSON")
}

#[tokio::test]
async fn health_says_how_tracing_is_doing_in_the_callers_trace() {
    let base = serve(Router::new().merge(health_router()), ServerLayer::new()).await;
    let caller = Caller::new();
    let body = health(get(&format!("{base}/health"), caller).await).await;
    assert_eq!(body["status"], "healthy");
    assert_eq!(body["service"], "server-tests");
    assert_eq!(body["trace_id"], caller.trace.to_string());
    let exporter = &body["exporters"][0];
    assert_eq!(exporter["name"], "MemoryExporter");
    assert_eq!(exporter["state"], "ok");
    assert_eq!(exporter["last_error"], Value::Null);
    assert_eq!(exporter["dropped"], 0);
    assert!(body["queue"]["capacity"].as_u64() > Some(0));
    assert!(traces().ended(caller.trace).is_empty(), "a probe makes no span");
}

#[tokio::test]
async fn health_has_a_trace_id_without_a_caller() {
    let base = serve(health_router(), ServerLayer::new()).await;
    let body = health(reqwest::get(format!("{base}/health")).await.expect("an answer")).await;
    let id = body["trace_id"].as_str().expect("text");
    assert!(id.len() == 32 && id.bytes().any(|digit| digit != b'0'), "{id}");
}
