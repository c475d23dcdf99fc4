//! When a request ends, and as what: with its body, when the client goes away, by a panic.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get as get_route;
use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _};
use http::{HeaderMap, Request};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use opentelemetry::trace::Status;
use throughline::server::ServerLayer;
use throughline::traced_span;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tower::{ServiceBuilder, ServiceExt as _};

use crate::support::{Caller, attribute, error_type, get, serve, traces};

#[traced_span("body.chunk")]
fn chunk(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

/// A route whose body goes on as the test says.
fn streaming(head: &'static [(&'static str, &'static str)]) -> (Router, mpsc::UnboundedSender<&'static str>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let receiver = std::sync::Arc::new(std::sync::Mutex::new(Some(receiver)));
    let handler = move || {
        let receiver = receiver.lock().expect("no panic").take();
        async move {
            let chunks = futures_util::stream::unfold(receiver, |receiver| async {
                let mut receiver: mpsc::UnboundedReceiver<&'static str> = receiver?;
                let text = receiver.recv().await?;
                Some((Ok::<_, Infallible>(chunk(text)), Some(receiver)))
            });
            let mut response = Response::new(Body::from_stream(chunks));
            for (name, value) in head {
                response.headers_mut().insert(*name, value.parse().expect("a header"));
            }
            response
        }
    };
    (Router::new().route("/stream", get_route(handler)), sender)
}

#[tokio::test]
async fn span_ends_with_the_body_and_what_the_body_does_is_inside() {
    let (routes, sender) = streaming(&[]);
    let base = serve(routes, ServerLayer::new()).await;
    let caller = Caller::new();
    sender.send("one").expect("a reader");
    let mut answer = get(&format!("{base}/stream"), caller).await;
    assert_eq!(answer.chunk().await.expect("a chunk").expect("more"), "one");
    let open = traces().wait(caller.trace, 1).await;
    assert_eq!(open[0].name, "body.chunk", "the request itself is still open");
    drop(sender);
    assert!(answer.chunk().await.expect("an end").is_none());
    let spans = traces().wait(caller.trace, 2).await;
    let server = spans.iter().find(|span| span.name == "GET /stream").expect("the server span");
    assert_eq!(server.status, Status::Unset);
    assert_eq!(open[0].parent_span_id, server.span_context.span_id());
    assert!(server.end_time >= open[0].end_time);
}

#[tokio::test]
async fn body_of_known_length_is_complete_when_the_length_is_reached() {
    let (routes, sender) = streaming(&[("content-length", "3")]);
    let base = serve(routes, ServerLayer::new()).await;
    let caller = Caller::new();
    sender.send("one").expect("a reader");
    let answer = get(&format!("{base}/stream"), caller).await;
    assert_eq!(answer.text().await.expect("a body"), "one");
    let spans = traces().wait(caller.trace, 2).await;
    let server = spans.iter().find(|span| span.name == "GET /stream").expect("the server span");
    assert_eq!(server.status, Status::Unset, "the server never asks for the end of the stream");
}

#[tokio::test]
async fn event_streams_end_with_their_head() {
    let (routes, sender) = streaming(&[("content-type", "text/event-stream")]);
    let base = serve(routes, ServerLayer::new()).await;
    let caller = Caller::new();
    let answer = get(&format!("{base}/stream"), caller).await;
    assert_eq!(traces().server_span(caller.trace).await.status, Status::Unset);
    drop((answer, sender));
}

/// Sends a request by hand, to be able to hang up.
async fn call(base: &str, path: &str, caller: Caller) -> TcpStream {
    let mut connection = TcpStream::connect(base.trim_start_matches("http://")).await.expect("a connection");
    let request =
        format!("GET {path} HTTP/1.1\r\nhost: test\r\ntraceparent: {}\r\n\r\n", caller.traceparent());
    connection.write_all(request.as_bytes()).await.expect("sent");
    connection
}

#[tokio::test]
async fn client_that_goes_away_before_the_head_is_cancelled() {
    let (started, mut began) = mpsc::unbounded_channel();
    let handler = move || {
        let started = started.clone();
        async move {
            let _ = started.send(());
            std::future::pending::<()>().await;
        }
    };
    let base = serve(Router::new().route("/wait", get_route(handler)), ServerLayer::new()).await;
    let caller = Caller::new();
    let connection = call(&base, "/wait", caller).await;
    began.recv().await.expect("the handler runs");
    drop(connection);
    let span = traces().server_span(caller.trace).await;
    assert_eq!(error_type(&span), "cancelled");
    assert!(matches!(span.status, Status::Error { .. }));
    assert_eq!(attribute(&span, "http.response.status_code"), None);
}

#[tokio::test]
async fn client_that_goes_away_in_the_body_is_cancelled() {
    let (routes, sender) = streaming(&[]);
    let base = serve(routes, ServerLayer::new()).await;
    let caller = Caller::new();
    sender.send("one").expect("a reader");
    let mut connection = call(&base, "/stream", caller).await;
    let mut read = Vec::new();
    while !read.windows(3).any(|window| window == b"one") {
        assert_ne!(connection.read_buf(&mut read).await.expect("data"), 0);
    }
    drop(connection);
    let spans = traces().wait(caller.trace, 2).await;
    let server = spans.iter().find(|span| span.name == "GET /stream").expect("the server span");
    assert_eq!(error_type(server), "cancelled");
    assert_eq!(attribute(server, "http.response.status_code"), Some(200.into()));
}

#[tokio::test]
async fn handler_that_panics_is_a_panic() {
    let routes = Router::new().route("/panic", get_route(|| async { panic!("on purpose") as String }));
    let base = serve(routes, ServerLayer::new()).await;
    let caller = Caller::new();
    let mut connection = call(&base, "/panic", caller).await;
    let mut rest = Vec::new();
    let _ = connection.read_to_end(&mut rest).await;
    assert_eq!(error_type(&traces().server_span(caller.trace).await), "panic");
}

fn request(caller: Caller) -> http::request::Builder {
    Request::builder().uri("/pkg.Service/Method").header("traceparent", caller.traceparent())
}

#[tokio::test]
async fn panic_that_somebody_outside_catches_is_still_a_panic() {
    traces();
    let service = ServiceBuilder::new().layer(ServerLayer::new()).service_fn(|_: Request<Body>| async {
        tokio::task::yield_now().await;
        if true {
            panic!("on purpose");
        }
        Ok::<_, Infallible>(Response::new(Body::empty()))
    });
    let caller = Caller::new();
    let mut answer = Box::pin(service.oneshot(request(caller).body(Body::empty()).expect("a request")));
    assert!(AssertUnwindSafe(&mut answer).catch_unwind().await.is_err());
    // Dropped when nothing unwinds any more.
    drop(answer);
    assert_eq!(error_type(&traces().server_span(caller.trace).await), "panic");
}

#[tokio::test]
async fn service_that_fails_without_an_answer_is_an_error_of_its_type() {
    traces();
    let service = ServiceBuilder::new()
        .layer(ServerLayer::new())
        .service_fn(|_: Request<Body>| async { Err::<Response<Body>, _>(std::fmt::Error) });
    let caller = Caller::new();
    assert!(service.oneshot(request(caller).body(Body::empty()).expect("a request")).await.is_err());
    assert_eq!(error_type(&traces().server_span(caller.trace).await), "core::fmt::Error");
}

#[tokio::test]
async fn grpc_is_named_by_its_method_and_judged_by_its_trailers() {
    traces();
    for (code, word, error) in [("0", "OK", ""), ("5", "NOT_FOUND", ""), ("13", "INTERNAL", "INTERNAL")] {
        let service =
            ServiceBuilder::new().layer(ServerLayer::new()).service_fn(move |_: Request<Body>| async move {
                let mut trailers = HeaderMap::new();
                trailers.insert("grpc-status", code.parse().expect("a header"));
                let frames =
                    [Ok::<_, Infallible>(Frame::data(Bytes::from("x"))), Ok(Frame::trailers(trailers))];
                Ok::<_, Infallible>(Response::new(StreamBody::new(futures_util::stream::iter(frames))))
            });
        let caller = Caller::new();
        let request = request(caller).header("content-type", "application/grpc+proto");
        let answer =
            service.oneshot(request.body(Body::empty()).expect("a request")).await.expect("an answer");
        answer.into_body().collect().await.expect("a body");
        let span = traces().server_span(caller.trace).await;
        assert_eq!(span.name, "pkg.Service/Method");
        assert_eq!(attribute(&span, "rpc.system.name"), Some("grpc".into()));
        assert_eq!(attribute(&span, "rpc.status_code"), Some(word.into()));
        assert_eq!(error_type(&span), error);
    }
}

#[tokio::test]
async fn body_that_breaks_off_is_an_error() {
    traces();
    let service = ServiceBuilder::new().layer(ServerLayer::new()).service_fn(|_: Request<Body>| async {
        let broken = futures_util::stream::iter([Err::<Bytes, _>(std::io::Error::other("cut"))]);
        Ok::<_, Infallible>(Body::from_stream(broken.boxed()).into_response())
    });
    let caller = Caller::new();
    let answer =
        service.oneshot(request(caller).body(Body::empty()).expect("a request")).await.expect("an answer");
    assert!(answer.into_body().collect().await.is_err());
    assert_eq!(error_type(&traces().server_span(caller.trace).await), "axum_core::error::Error");
}
