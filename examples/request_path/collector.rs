//! Where the spans of all processes come together: an OTLP receiver over HTTP.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use opentelemetry::trace::{SpanId, SpanKind, Status, TraceId};
use opentelemetry::{KeyValue, Value};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyValue;
use opentelemetry_proto::tonic::common::v1::{AnyValue as Any, KeyValue as ProtoKeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use reqwest::header::CONTENT_TYPE;
use throughline::export::console::TreeSpan;
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

use crate::Error;

#[derive(Default)]
pub(crate) struct Collector {
    traces: Mutex<HashMap<TraceId, Vec<TreeSpan>>>,
    arrived: Notify,
}

/// The receiver's address, what it got, and the task that passes it on.
pub(crate) struct Receiver {
    pub(crate) endpoint: String,
    pub(crate) collector: Arc<Collector>,
    forward: Option<Forward>,
    server: JoinHandle<()>,
}

/// Requests to pass on, and the task that does.
type Forward = (mpsc::UnboundedSender<Bytes>, JoinHandle<Result<(), Error>>);

type Shared = (Arc<Collector>, Option<mpsc::UnboundedSender<Bytes>>);

/// Starts to receive; everything is also passed on to `otlp`, as it came.
pub(crate) async fn start(otlp: Option<String>) -> Result<Receiver, Error> {
    let collector = Arc::new(Collector::default());
    let forward = otlp.map(|url| {
        let (sender, requests) = mpsc::unbounded_channel();
        (sender, tokio::spawn(pass_on(url, requests)))
    });
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let endpoint = format!("http://{}/v1/traces", listener.local_addr()?);
    let shared: Shared = (Arc::clone(&collector), forward.as_ref().map(|(sender, _)| sender.clone()));
    let app = Router::new().route("/v1/traces", post(receive)).with_state(shared);
    let server = tokio::spawn(async move {
        // Ends with the process.
        let _ = axum::serve(listener, app).await;
    });
    Ok(Receiver { endpoint, collector, forward, server })
}

async fn receive(State((collector, forward)): State<Shared>, body: Bytes) -> Result<StatusCode, StatusCode> {
    let request = ExportTraceServiceRequest::decode(body.clone()).map_err(|_| StatusCode::BAD_REQUEST)?;
    collector.add(request);
    if let Some(forward) = forward {
        forward.send(body).map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    }
    Ok(StatusCode::OK)
}

async fn pass_on(url: String, mut requests: mpsc::UnboundedReceiver<Bytes>) -> Result<(), Error> {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).build()?;
    let mut failed = None;
    while let Some(body) = requests.recv().await {
        let sent = client.post(&url).header(CONTENT_TYPE, "application/x-protobuf").body(body).send().await;
        if let Err(error) = sent.and_then(reqwest::Response::error_for_status) {
            failed = Some(error);
        }
    }
    failed.map_or(Ok(()), |error| Err(format!("not everything reached {url}: {error}").into()))
}

/// The full URL of a receiver.
pub(crate) fn url(given: &str) -> Result<String, String> {
    let mut url = reqwest::Url::parse(given).map_err(|error| error.to_string())?;
    if url.scheme() != "http" {
        return Err("expected a URL such as `http://localhost:4318`".to_owned());
    }
    if url.path() == "/" {
        url.set_path("/v1/traces");
    }
    Ok(url.into())
}

impl Receiver {
    /// Stops receiving, and waits until everything is passed on. Gives all traces, in order of their start, and
    /// whether the other receiver got them, too.
    pub(crate) async fn finish(self) -> (Vec<Vec<TreeSpan>>, Result<(), Error>) {
        self.server.abort();
        let _ = self.server.await;
        let passed_on = match self.forward {
            Some((sender, task)) => {
                drop(sender);
                task.await.unwrap_or_else(|panicked| Err(panicked.into()))
            }
            None => Ok(()),
        };
        let mut traces: Vec<_> = self.collector.lock().drain().map(|(_, spans)| spans).collect();
        traces.sort_by_key(|spans| spans.iter().map(|span| span.start_time).min());
        (traces, passed_on)
    }
}

impl Collector {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<TraceId, Vec<TreeSpan>>> {
        self.traces.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, request: ExportTraceServiceRequest) {
        let mut traces = self.lock();
        for resource in request.resource_spans {
            let of_resource = resource.resource.map(|resource| resource.attributes).unwrap_or_default();
            let service = of_resource.into_iter().find(|kv| kv.key == "service.name").and_then(value);
            let service = service.map_or_else(String::new, |kv| kv.value.to_string());
            for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                if let Some(span) = tree_span(span, &service) {
                    traces.entry(span.trace_id).or_default().push(span);
                }
            }
        }
        drop(traces);
        self.arrived.notify_waiters();
    }

    /// Waits until `count` traces have the worker's span, which is the last one on the path.
    pub(crate) async fn wait_for(&self, count: usize, mut progress: impl FnMut(usize)) {
        loop {
            let mut arrived = std::pin::pin!(self.arrived.notified());
            arrived.as_mut().enable();
            let finished = self.lock().values().filter(|spans| is_finished(spans)).count();
            progress(finished);
            if finished >= count {
                return;
            }
            arrived.await;
        }
    }
}

fn is_finished(spans: &[TreeSpan]) -> bool {
    let by = |service: &str| spans.iter().any(|span| span.service == service);
    by("client")
        && by("gateway")
        && spans.iter().any(|span| span.service == "worker" && span.kind == SpanKind::Consumer)
}

fn tree_span(span: Span, service: &str) -> Option<TreeSpan> {
    let time = |nanos| SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos);
    let trace_id = TraceId::from_bytes(span.trace_id.try_into().ok()?);
    let span_id = SpanId::from_bytes(span.span_id.try_into().ok()?);
    let mut tree = TreeSpan::new(trace_id, span_id, span.name);
    tree.parent_span_id = span.parent_span_id.try_into().map_or(SpanId::INVALID, SpanId::from_bytes);
    tree.service = service.to_owned();
    tree.kind = match span.kind {
        2 => SpanKind::Server,
        3 => SpanKind::Client,
        4 => SpanKind::Producer,
        5 => SpanKind::Consumer,
        _ => SpanKind::Internal,
    };
    tree.start_time = time(span.start_time_unix_nano);
    tree.end_time = time(span.end_time_unix_nano);
    tree.status = match span.status {
        Some(status) if status.code == 2 => Status::error(status.message),
        _ => Status::Unset,
    };
    tree.attributes = span.attributes.into_iter().filter_map(value).collect();
    Some(tree)
}

fn value(kv: ProtoKeyValue) -> Option<KeyValue> {
    let Some(Any { value: Some(value) }) = kv.value else { return None };
    let value = match value {
        AnyValue::StringValue(text) => Value::from(text),
        AnyValue::BoolValue(flag) => Value::from(flag),
        AnyValue::IntValue(number) => Value::from(number),
        AnyValue::DoubleValue(number) => Value::from(number),
        _ => return None,
    };
    Some(KeyValue::new(kv.key, value))
}
