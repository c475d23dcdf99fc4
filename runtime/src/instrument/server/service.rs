//! The service: opens the request, polls the inner service inside it, and hands it on to the body.

use std::any::type_name;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use opentelemetry::trace::SpanContext;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::body::TracedBody;
use super::layer::Settings;
use super::request::Traced;

/// What [`ServerLayer`](super::ServerLayer) puts round a service.
#[derive(Clone)]
pub struct ServerService<S> {
    inner: S,
    settings: Arc<Settings>,
}

impl<S> ServerService<S> {
    pub(super) fn new(inner: S, settings: Arc<Settings>) -> Self {
        Self { inner, settings }
    }
}

impl<S: fmt::Debug> fmt::Debug for ServerService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerService").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<S, I, O> Service<Request<I>> for ServerService<S>
where
    S: Service<Request<I>, Response = Response<O>>,
    O: Body,
{
    type Response = Response<TracedBody<O>>;
    type Error = S::Error;
    type Future = ServerFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<I>) -> Self::Future {
        let mut traced = Traced::start(&request, &self.settings);
        let is_head = request.method() == Method::HEAD;
        let future = traced.run(|| self.inner.call(request));
        ServerFuture { future, traced: Some(traced), settings: Arc::clone(&self.settings), is_head }
    }
}

pin_project! {
    /// The answer of a [`ServerService`].
    pub struct ServerFuture<F> {
        #[pin]
        future: F,
        // Declared after the future, hence dropped after it: what its destructors record comes before the end.
        traced: Option<Traced>,
        settings: Arc<Settings>,
        is_head: bool,
    }
}

impl<F> fmt::Debug for ServerFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerFuture").finish_non_exhaustive()
    }
}

impl<F, O, E> Future for ServerFuture<F>
where
    F: Future<Output = Result<Response<O>, E>>,
    O: Body,
{
    type Output = Result<Response<TracedBody<O>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Some(traced) = this.traced.as_mut() else {
            // Polled after the end: as with any future, there is nothing more to come.
            return Poll::Pending;
        };
        let answer = ready!(traced.run(|| this.future.poll(cx)));
        let Some(mut traced) = this.traced.take() else { return Poll::Pending };
        match answer {
            Err(error) => {
                traced.failed(type_name::<E>(), "");
                traced.end();
                Poll::Ready(Err(error))
            }
            Ok(mut response) => {
                traced.answered(&response, this.settings);
                write_ids(&mut response, &traced.span_context(), this.settings);
                if ends_with_head(&response, *this.is_head) {
                    traced.end();
                }
                let length = content_length(&response);
                Poll::Ready(Ok(response.map(|body| TracedBody::new(body, length, traced))))
            }
        }
    }
}

/// Answers whose body nobody reads to an end: none at all, somebody else's protocol, or one without end.
fn ends_with_head<O: Body>(response: &Response<O>, is_head: bool) -> bool {
    let status = response.status();
    let content_type = response.headers().get(CONTENT_TYPE);
    is_head
        || status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
        || response.body().is_end_stream()
        || content_type.is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"))
}

/// How much body the head promises; what the server sends ends there.
fn content_length<O: Body>(response: &Response<O>) -> Option<u64> {
    let header = response.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    header.or_else(|| response.body().size_hint().exact())
}

fn write_ids<O>(response: &mut Response<O>, span: &SpanContext, settings: &Settings) {
    if !span.is_valid() {
        return;
    }
    if settings.traceresponse && !response.headers().contains_key("traceresponse") {
        let flags = span.trace_flags().to_u8();
        insert(response, "traceresponse", &format!("00-{}-{}-{flags:02x}", span.trace_id(), span.span_id()));
    }
    if settings.trace_id_header && !response.headers().contains_key("x-trace-id") {
        insert(response, "x-trace-id", &span.trace_id().to_string());
    }
}

fn insert<O>(response: &mut Response<O>, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        // A map that is full stays as it is; `insert` would panic.
        let _ = response.headers_mut().try_insert(name, value);
    }
}
