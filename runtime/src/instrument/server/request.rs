//! One request on its way: its span, or the context it runs in without one, and how it ended.

use std::thread;

use http::{HeaderMap, Request, Response};
use opentelemetry::trace::{SpanContext, TraceContextExt, TraceFlags, TraceState};
use opentelemetry::{Context, ContextGuard, KeyValue};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator};

use super::layer::Settings;
use super::{attributes, grpc};
use crate::propagation;
use crate::span::{self, Entered, Kind, Options, OwnedSpan, Site};

static SITE: Site = Site::internal("HTTP", Kind::Server);

/// A request from its arrival to the end of its answer. Dropping it before the end says that it was given up.
#[derive(Debug)]
pub(super) struct Traced {
    inside: Inside,
    is_grpc: bool,
    /// Somebody's code panicked while this request was current, even if the panic was caught since.
    panicked: bool,
}

#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // nearly every request is the large one
enum Inside {
    Span(OwnedSpan),
    /// No span, but a trace to stay in.
    Context(Context),
    Ended,
}

enum Guard {
    Span(#[expect(dead_code, reason = "held for its Drop")] Entered),
    Context(#[expect(dead_code, reason = "held for its Drop")] ContextGuard),
    Nothing,
}

impl Traced {
    pub(super) fn start<B>(request: &Request<B>, settings: &Settings) -> Self {
        let is_grpc = grpc::is_grpc(request.headers());
        let inside = if settings.skip.iter().any(|path| path == request.uri().path()) {
            Inside::Context(untraced(request.headers(), settings.public))
        } else {
            open(request, settings, is_grpc)
        };
        Self { inside, is_grpc, panicked: false }
    }

    /// Runs `body` inside the request.
    pub(super) fn run<R>(&mut self, body: impl FnOnce() -> R) -> R {
        let _guard = match &mut self.inside {
            Inside::Span(span) => Guard::Span(span.enter()),
            Inside::Context(cx) => Guard::Context(cx.clone().attach()),
            Inside::Ended => Guard::Nothing,
        };
        let _watch = Watch { before: thread::panicking(), panicked: &mut self.panicked };
        body()
    }

    /// What goes into the answer's `traceresponse`.
    pub(super) fn span_context(&self) -> SpanContext {
        match &self.inside {
            Inside::Span(span) => span.span_context(),
            Inside::Context(cx) => cx.span().span_context().clone(),
            Inside::Ended => SpanContext::NONE,
        }
    }

    fn recording(&mut self) -> Option<&mut OwnedSpan> {
        match &mut self.inside {
            Inside::Span(span) if span.is_recording() => Some(span),
            _ => None,
        }
    }

    /// Records the head of the answer.
    pub(super) fn answered<B>(&mut self, response: &Response<B>, settings: &Settings) {
        let Some(span) = self.recording() else { return };
        let status = response.status();
        let mut found = vec![KeyValue::new("http.response.status_code", i64::from(status.as_u16()))];
        attributes::headers(
            &mut found,
            "http.response.header.",
            response.headers(),
            &settings.response_headers,
        );
        span.set_attributes(found);
        if status.is_server_error() {
            // The convention: no description where the code says it all.
            span.fail(status.as_str().to_owned(), "");
        }
        self.trailers(response.headers());
    }

    /// Records the status of gRPC, which comes with the trailers, or with the head when there is no body.
    pub(super) fn trailers(&mut self, trailers: &HeaderMap) {
        if !self.is_grpc {
            return;
        }
        let (Some(status), Some(span)) = (grpc::status(trailers), self.recording()) else { return };
        span.set_attributes([KeyValue::new("rpc.status_code", status)]);
        if grpc::is_server_error(status) {
            span.fail(status, "");
        }
    }

    /// Marks the request as failed.
    pub(super) fn failed(&mut self, error_type: &'static str, description: &'static str) {
        if let Some(span) = self.recording() {
            span.fail(error_type, description);
        }
    }

    /// The answer is complete.
    pub(super) fn end(&mut self) {
        if let Inside::Span(span) = std::mem::replace(&mut self.inside, Inside::Ended) {
            span.end();
        }
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        if self.panicked || thread::panicking() {
            self.failed("panic", "panicked");
        } else {
            self.failed("cancelled", "the client went away before the end of the answer");
        }
        self.end();
    }
}

/// Notices a panic that passes, because whoever catches it further out drops the request at leisure.
struct Watch<'p> {
    before: bool,
    panicked: &'p mut bool,
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if thread::panicking() && !self.before {
            *self.panicked = true;
        }
    }
}

fn open<B>(request: &Request<B>, settings: &Settings, is_grpc: bool) -> Inside {
    let remote = propagation::extract_onto(&Context::current(), request.headers());
    if !span::on() {
        // Switched off. The neighbours' trace must not be cut, so their context stays with what we send.
        return if settings.public { Inside::Ended } else { Inside::Context(remote) };
    }
    let start = attributes::at_start(request, settings, is_grpc);
    let options = Options::new().name(start.name).attributes(start.attributes);
    let options = if settings.public {
        let link = Some(remote.span().span_context().clone()).filter(SpanContext::is_valid);
        options.parent(Context::new()).links(link)
    } else {
        options.parent(remote)
    };
    let mut span = OwnedSpan::idle(&SITE);
    if span::open_with(&mut span, options) {
        span.set_attributes(attributes::of_request(request, settings));
    }
    Inside::Span(span)
}

/// The trace that a request without span runs in: the caller's, or a fresh unsampled one.
pub(super) fn untraced(headers: &HeaderMap, public: bool) -> Context {
    let current = Context::current();
    let cx = if public || current.span().span_context().is_valid() {
        current
    } else {
        propagation::extract_onto(&current, headers)
    };
    if cx.span().span_context().is_valid() {
        return cx;
    }
    let ids = RandomIdGenerator::default();
    let flags = TraceFlags::NOT_SAMPLED;
    let fresh = SpanContext::new(ids.new_trace_id(), ids.new_span_id(), flags, false, TraceState::NONE);
    cx.with_remote_span_context(fresh)
}
