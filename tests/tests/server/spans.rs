//! Name, attributes and status of the SERVER span.

use axum::Router;
use axum::http::StatusCode;
use axum::routing::{any, get as get_route};
use http::header::HeaderName;
use opentelemetry::trace::{SpanKind, Status};
use opentelemetry::{Array, Value};
use throughline::server::ServerLayer;
use throughline::traced_span;

use crate::support::{Caller, attribute, error_type, get, serve, traces};

#[traced_span("plans.load")]
async fn load() -> &'static str {
    tokio::task::yield_now().await;
    "a plan"
}

fn routes() -> Router {
    Router::new()
        .route("/plans/{id}", get_route(load))
        .route("/broken", get_route(|| async { StatusCode::INTERNAL_SERVER_ERROR }))
        .route("/empty", get_route(|| async { StatusCode::NO_CONTENT }))
        .route("/any", any(|| async { "any" }))
}

#[tokio::test]
async fn request_is_named_by_method_and_route_and_holds_what_it_calls() {
    let base = serve(routes(), ServerLayer::new()).await;
    let caller = Caller::new();
    let answer = get(&format!("{base}/plans/17?verbose=1&sig=secret"), caller).await;
    assert_eq!(answer.text().await.expect("a body"), "a plan");
    let spans = traces().wait(caller.trace, 2).await;
    let server = spans.iter().find(|span| span.span_kind == SpanKind::Server).expect("a server span");
    let inner = spans.iter().find(|span| span.name == "plans.load").expect("the handler's span");
    assert_eq!(server.name, "GET /plans/{id}");
    assert_eq!(server.parent_span_id, caller.span);
    assert!(server.parent_span_is_remote);
    assert_eq!(inner.parent_span_id, server.span_context.span_id());
    assert_eq!(server.status, Status::Unset);
    for (key, value) in [
        ("http.request.method", Value::from("GET")),
        ("http.route", "/plans/{id}".into()),
        ("http.response.status_code", 200.into()),
        ("url.path", "/plans/17".into()),
        ("url.query", "verbose=1&sig=REDACTED".into()),
        ("url.scheme", "http".into()),
        ("server.address", "127.0.0.1".into()),
        ("network.protocol.version", "1.1".into()),
    ] {
        assert_eq!(attribute(server, key), Some(value), "{key}");
    }
    assert_eq!(attribute(server, "code.function.name"), None, "the place would be ours");
}

#[tokio::test]
async fn unknown_path_is_named_by_the_method_alone_and_is_no_error() {
    let base = serve(routes(), ServerLayer::new()).await;
    let caller = Caller::new();
    assert_eq!(get(&format!("{base}/user/4711"), caller).await.status(), 404);
    let span = traces().server_span(caller.trace).await;
    assert_eq!(span.name, "GET");
    assert_eq!(span.status, Status::Unset);
    assert_eq!(attribute(&span, "http.response.status_code"), Some(404.into()));
    assert_eq!(attribute(&span, "http.route"), None);
}

#[tokio::test]
async fn server_error_is_an_error_with_the_code() {
    let base = serve(routes(), ServerLayer::new()).await;
    let caller = Caller::new();
    assert_eq!(get(&format!("{base}/broken"), caller).await.status(), 500);
    let span = traces().server_span(caller.trace).await;
    assert_eq!(error_type(&span), "500");
    assert_eq!(span.status, Status::error(""));
}

#[tokio::test]
async fn unknown_method_is_named_http() {
    let base = serve(routes(), ServerLayer::new()).await;
    let caller = Caller::new();
    let method = reqwest::Method::from_bytes(b"BREW").expect("a method");
    let request = reqwest::Client::new().request(method, format!("{base}/any"));
    request.header("traceparent", caller.traceparent()).send().await.expect("an answer");
    let span = traces().server_span(caller.trace).await;
    assert_eq!(span.name, "HTTP /any");
    assert_eq!(attribute(&span, "http.request.method"), Some("_OTHER".into()));
    assert_eq!(attribute(&span, "http.request.method_original"), Some("BREW".into()));
}

#[tokio::test]
async fn listed_headers_are_recorded_and_credentials_are_not() {
    let headers = ["x-tenant", "authorization"].map(HeaderName::from_static);
    let base = serve(routes(), ServerLayer::new().request_headers(headers)).await;
    let caller = Caller::new();
    let request =
        reqwest::Client::new().get(format!("{base}/plans/1")).header("traceparent", caller.traceparent());
    let request =
        request.header("x-tenant", "acme").header("x-tenant", "other").header("authorization", "secret");
    request.send().await.expect("an answer");
    let spans = traces().wait(caller.trace, 2).await;
    let server = spans.iter().find(|span| span.span_kind == SpanKind::Server).expect("a server span");
    let strings = |values: &[&'static str]| {
        Some(Value::Array(Array::String(values.iter().map(|value| (*value).into()).collect())))
    };
    assert_eq!(attribute(server, "http.request.header.x-tenant"), strings(&["acme", "other"]));
    assert_eq!(attribute(server, "http.request.header.authorization"), strings(&["REDACTED"]));
}

#[tokio::test]
async fn answers_without_a_body_are_complete_with_their_head() {
    let base = serve(routes(), ServerLayer::new()).await;
    let caller = Caller::new();
    get(&format!("{base}/empty"), caller).await;
    assert_eq!(traces().server_span(caller.trace).await.status, Status::Unset);

    let caller = Caller::new();
    let request = reqwest::Client::new().head(format!("{base}/any"));
    request.header("traceparent", caller.traceparent()).send().await.expect("an answer");
    let span = traces().server_span(caller.trace).await;
    assert_eq!((span.name.as_ref(), span.status), ("HEAD /any", Status::Unset));
}
