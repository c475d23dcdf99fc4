//! Which trace a request runs in, and what the answer says about it.

use axum::Router;
use axum::response::IntoResponse;
use axum::routing::get as get_route;
use opentelemetry::trace::{SpanId, TraceContextExt as _, TraceId};
use throughline::server::ServerLayer;

use crate::support::{Caller, get, serve, traces};

/// Answers with the trace id that the handler sees.
fn routes() -> Router {
    let trace_id = || async {
        opentelemetry::Context::map_current(|cx| cx.span().span_context().trace_id().to_string())
    };
    Router::new()
        .route("/id", get_route(trace_id))
        .route("/livez", get_route(trace_id))
        .route("/own", get_route(|| async { [("traceresponse", "own")].into_response() }))
}

fn header(answer: &reqwest::Response, name: &str) -> String {
    answer.headers().get(name).map(|value| value.to_str().expect("text").to_owned()).unwrap_or_default()
}

#[tokio::test]
async fn answer_names_the_span() {
    let base = serve(routes(), ServerLayer::new().trace_id_header(true)).await;
    let caller = Caller::new();
    let answer = get(&format!("{base}/id"), caller).await;
    let (response, trace_id) = (header(&answer, "traceresponse"), header(&answer, "x-trace-id"));
    assert_eq!(answer.text().await.expect("a body"), caller.trace.to_string());
    let span = traces().server_span(caller.trace).await;
    assert_eq!(response, format!("00-{}-{}-01", caller.trace, span.span_context.span_id()));
    assert_eq!(trace_id, caller.trace.to_string());
}

#[tokio::test]
async fn traceresponse_of_the_program_stays_and_can_be_switched_off() {
    let base = serve(routes(), ServerLayer::new()).await;
    assert_eq!(header(&get(&format!("{base}/own"), Caller::new()).await, "traceresponse"), "own");
    let base = serve(routes(), ServerLayer::new().traceresponse(false)).await;
    let answer = get(&format!("{base}/id"), Caller::new()).await;
    assert_eq!(header(&answer, "traceresponse"), "");
    assert_eq!(header(&answer, "x-trace-id"), "");
}

#[tokio::test]
async fn without_a_parent_a_trace_begins() {
    let base = serve(routes(), ServerLayer::new()).await;
    for traceparent in
        [None, Some("00-00000000000000000000000000000000-b7ad6b7169203331-01"), Some("garbage")]
    {
        let mut request = reqwest::Client::new().get(format!("{base}/id"));
        if let Some(value) = traceparent {
            request = request.header("traceparent", value);
        }
        let id = request.send().await.expect("an answer").text().await.expect("a body");
        let span = traces().server_span(TraceId::from_hex(&id).expect("an id")).await;
        assert_eq!(span.parent_span_id, SpanId::INVALID);
    }
}

#[tokio::test]
async fn public_servers_link_to_strangers_and_do_not_follow_them() {
    let base = serve(routes(), ServerLayer::new().public(true)).await;
    let caller = Caller::new();
    let id = get(&format!("{base}/id"), caller).await.text().await.expect("a body");
    let own = TraceId::from_hex(&id).expect("an id");
    assert_ne!(own, caller.trace);
    let span = traces().server_span(own).await;
    assert_eq!(span.parent_span_id, SpanId::INVALID);
    let link = span.links.iter().next().expect("a link");
    assert_eq!((link.span_context.trace_id(), link.span_context.span_id()), (caller.trace, caller.span));
}

#[tokio::test]
async fn skipped_paths_have_a_trace_and_no_span() {
    let base = serve(routes(), ServerLayer::new()).await;
    let caller = Caller::new();
    let id = get(&format!("{base}/livez"), caller).await.text().await.expect("a body");
    assert_eq!(id, caller.trace.to_string());
    assert!(traces().ended(caller.trace).is_empty());

    let answer = reqwest::get(format!("{base}/livez")).await.expect("an answer");
    let response = header(&answer, "traceresponse");
    let id = answer.text().await.expect("a body");
    let fresh = TraceId::from_hex(&id).expect("an id");
    assert_ne!(fresh, TraceId::INVALID);
    assert!(response.starts_with(&format!("00-{id}-")) && response.ends_with("-00"), "{response}");
    assert!(traces().ended(fresh).is_empty());
}

#[tokio::test]
async fn list_of_skipped_paths_can_be_replaced() {
    let base = serve(routes(), ServerLayer::new().skip(["/id"])).await;
    let (skipped, seen) = (Caller::new(), Caller::new());
    get(&format!("{base}/id"), skipped).await;
    get(&format!("{base}/livez"), seen).await;
    assert_eq!(traces().server_span(seen.trace).await.name, "GET /livez");
    assert!(traces().ended(skipped.trace).is_empty());
}
