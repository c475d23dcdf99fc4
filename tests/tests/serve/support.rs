//! A receiver of the test's own, with the REST API beside it.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use serde_json::Value as Json;
use throughline::api::{Api, ApiOptions};
use throughline::store::{self, StoreOptions};
use throughline_tests::store::Folder;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// All endpoints over a store, on a port of their own.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    task: JoinHandle<()>,
    _folder: Option<Folder>,
}

impl Server {
    /// Over an empty SQLite file.
    pub(crate) async fn start(change: impl FnOnce(ApiOptions) -> ApiOptions) -> Self {
        let folder = Folder::new();
        let mut server = Self::over(&folder.url(), change).await;
        server._folder = Some(folder);
        server
    }

    /// Over this store.
    pub(crate) async fn over(url: &str, change: impl FnOnce(ApiOptions) -> ApiOptions) -> Self {
        let store = store::open(StoreOptions::new(url)).unwrap();
        let api = Api::new(Arc::clone(&store), change(ApiOptions::new()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move { axum::serve(listener, api.router()).await.unwrap() });
        Self { address, task, _folder: None }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Posts to the receiver.
    pub(crate) async fn post(&self, content_type: &str, gzip: bool, body: Vec<u8>) -> Answer {
        let mut request =
            reqwest::Client::new().post(self.url("/v1/traces")).header(CONTENT_TYPE, content_type);
        if gzip {
            request = request.header(CONTENT_ENCODING, "gzip");
        }
        Answer::of(request.body(body).send().await.unwrap()).await
    }

    /// The spans of a trace as the REST API has them.
    pub(crate) async fn spans(&self, trace: u128) -> Vec<Json> {
        let answer = reqwest::get(self.url(&format!("/api/traces/{trace:032x}/spans"))).await.unwrap();
        if answer.status() == 404 {
            return Vec::new();
        }
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) retry_after: Option<u64>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) async fn of(response: reqwest::Response) -> Self {
        let header = |name: &str| {
            response.headers().get(name).map(|value| value.to_str().unwrap_or_default().to_owned())
        };
        Self {
            status: response.status().as_u16(),
            content_type: header("content-type").unwrap_or_default(),
            retry_after: header("retry-after").map(|seconds| seconds.parse().unwrap()),
            body: response.bytes().await.unwrap().to_vec(),
        }
    }

    pub(crate) fn json(&self) -> Json {
        serde_json::from_slice(&self.body).unwrap()
    }
}

pub(crate) const PROTOBUF: &str = "application/x-protobuf";
pub(crate) const JSON: &str = "application/json";

/// An hour ago, in nanoseconds.
pub(crate) fn begin_ns() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(now.as_nanos()).unwrap() - 3_600_000_000_000
}

/// A span that can be stored.
pub(crate) fn span(trace: u128, id: u64) -> Span {
    let start_time_unix_nano = begin_ns();
    Span {
        trace_id: trace.to_be_bytes().to_vec(),
        span_id: id.to_be_bytes().to_vec(),
        name: format!("work {id}"),
        kind: 2,
        start_time_unix_nano,
        end_time_unix_nano: start_time_unix_nano + 5_000_000,
        ..Span::default()
    }
}

pub(crate) fn text(key: &str, text: &str) -> KeyValue {
    let value = AnyValue { value: Some(Any::StringValue(text.to_owned())) };
    KeyValue { key: key.to_owned(), value: Some(value), key_strindex: 0 }
}

/// A request of the service `shop`.
pub(crate) fn request(spans: Vec<Span>) -> ExportTraceServiceRequest {
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource {
                attributes: vec![text("service.name", "shop")],
                ..Resource::default()
            }),
            scope_spans: vec![ScopeSpans { spans, ..ScopeSpans::default() }],
            ..ResourceSpans::default()
        }],
    }
}

pub(crate) fn gzip(body: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(body).unwrap();
    packer.finish().unwrap()
}
