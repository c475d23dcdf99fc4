//! An OTLP receiver, for HTTP and gRPC, that keeps what it gets and answers as a test tells it.

use std::collections::VecDeque;
use std::io::Read as _;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http::{HeaderMap, StatusCode};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::codec::CompressionEncoding;
use tonic::{Code, Status};

/// What the receiver does with one request, said for both protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Takes all spans.
    Takes,
    /// Takes all but so many spans.
    Refuses(i64),
    /// 429 or `RESOURCE_EXHAUSTED`, with the pause to keep.
    Throttles(Duration),
    /// 503 or `UNAVAILABLE`.
    Unavailable,
    /// 400 or `INVALID_ARGUMENT`.
    Invalid,
    /// 413 or `RESOURCE_EXHAUSTED` without a pause.
    TooLarge,
    /// The connection ends without an answer.
    Cuts,
    /// No answer.
    Hangs,
}

/// One request as it arrived.
#[derive(Clone, Debug)]
pub struct Received {
    /// Its headers, or over gRPC its metadata.
    pub headers: HeaderMap,
    /// Its body, decoded.
    pub request: ExportTraceServiceRequest,
}

impl Received {
    /// The spans in it.
    pub fn spans(&self) -> impl Iterator<Item = &Span> {
        self.request.resource_spans.iter().flat_map(|r| &r.scope_spans).flat_map(|s| &s.spans)
    }
}

type Decide = Box<dyn FnMut(&ExportTraceServiceRequest) -> Reply + Send>;

struct Shared {
    received: Mutex<Vec<(Received, Reply)>>,
    arrived: Condvar,
    decide: Mutex<Decide>,
}

impl Shared {
    fn receive(&self, headers: HeaderMap, request: ExportTraceServiceRequest) -> Reply {
        let reply = (self.decide.lock().expect("no test panics in it"))(&request);
        self.received.lock().expect("no code panics under it").push((Received { headers, request }, reply));
        self.arrived.notify_all();
        reply
    }
}

/// A running receiver. It ends with this value.
pub struct Receiver {
    shared: Arc<Shared>,
    http_port: u16,
    grpc_port: u16,
    _stop: oneshot::Sender<()>,
}

impl Receiver {
    /// Takes everything.
    pub fn start() -> Self {
        Self::replying([])
    }

    /// Replies in this order, then takes everything.
    pub fn replying(replies: impl IntoIterator<Item = Reply>) -> Self {
        let mut replies: VecDeque<_> = replies.into_iter().collect();
        Self::deciding(move |_| replies.pop_front().unwrap_or(Reply::Takes))
    }

    /// Replies as the function says.
    pub fn deciding(decide: impl FnMut(&ExportTraceServiceRequest) -> Reply + Send + 'static) -> Self {
        let shared = Arc::new(Shared {
            received: Mutex::default(),
            arrived: Condvar::new(),
            decide: Mutex::new(Box::new(decide)),
        });
        let (stop, stopped) = oneshot::channel();
        let (tell, ports) = std::sync::mpsc::channel();
        let served = Arc::clone(&shared);
        thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let http = TcpListener::bind("127.0.0.1:0").await.expect("a port");
                let grpc = TcpListener::bind("127.0.0.1:0").await.expect("a port");
                let port = |listener: &TcpListener| listener.local_addr().expect("an address").port();
                tell.send((port(&http), port(&grpc))).expect("somebody waits");
                tokio::spawn(serve_http(http, Arc::clone(&served)));
                tokio::spawn(serve_grpc(grpc, served));
                let _ = stopped.await;
            });
            // Requests that hang are not waited for.
            runtime.shutdown_background();
        });
        let (http_port, grpc_port) = ports.recv().expect("the receiver starts");
        Self { shared, http_port, grpc_port, _stop: stop }
    }

    /// `http://127.0.0.1:<port>/v1/traces`.
    pub fn http_url(&self) -> String {
        format!("http://127.0.0.1:{}/v1/traces", self.http_port)
    }

    /// `http://127.0.0.1:<port>`.
    pub fn grpc_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.grpc_port)
    }

    /// Every request, also those that were not taken.
    pub fn requests(&self) -> Vec<Received> {
        self.received().into_iter().map(|(received, _)| received).collect()
    }

    /// Waits until so many requests have arrived.
    pub fn wait_for_requests(&self, count: usize) {
        let received = self.shared.received.lock().expect("no code panics under it");
        let limit = Duration::from_secs(60);
        let (received, _) = self
            .shared
            .arrived
            .wait_timeout_while(received, limit, |received| received.len() < count)
            .expect("no code panics under it");
        assert!(received.len() >= count, "{} of {count} requests in {limit:?}", received.len());
    }

    /// The spans of the requests that were taken.
    pub fn spans(&self) -> Vec<Span> {
        self.received()
            .iter()
            .filter(|(_, reply)| matches!(reply, Reply::Takes))
            .flat_map(|(received, _)| received.spans().cloned())
            .collect()
    }

    fn received(&self) -> Vec<(Received, Reply)> {
        self.shared.received.lock().expect("no code panics under it").clone()
    }
}

async fn serve_http(listener: TcpListener, shared: Arc<Shared>) {
    let router = axum::Router::new().route("/v1/traces", post(receive_http)).with_state(shared);
    axum::serve(listener, router).await.expect("it serves");
}

async fn receive_http(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let body = if headers.get("content-encoding").is_some_and(|encoding| encoding == "gzip") {
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(body.as_ref()).read_to_end(&mut plain).expect("gzip");
        plain.into()
    } else {
        body
    };
    let request = ExportTraceServiceRequest::decode(body).expect("an OTLP request");
    let protobuf = [("content-type", "application/x-protobuf")];
    match shared.receive(headers, request) {
        Reply::Takes => (protobuf, taken(None).encode_to_vec()).into_response(),
        Reply::Refuses(count) => (protobuf, taken(Some(count)).encode_to_vec()).into_response(),
        Reply::Throttles(pause) => {
            (StatusCode::TOO_MANY_REQUESTS, [("retry-after", pause.as_secs().to_string())]).into_response()
        }
        Reply::Unavailable => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Reply::Invalid => (StatusCode::BAD_REQUEST, "span without a name").into_response(),
        Reply::TooLarge => StatusCode::PAYLOAD_TOO_LARGE.into_response(),
        Reply::Cuts => cut(),
        Reply::Hangs => std::future::pending().await,
    }
}

async fn serve_grpc(listener: TcpListener, shared: Arc<Shared>) {
    let service = TraceServiceServer::new(Grpc(shared)).accept_compressed(CompressionEncoding::Gzip);
    tonic::transport::Server::builder()
        .add_service(service)
        .serve_with_incoming(TcpListenerStream::new(listener))
        .await
        .expect("it serves");
}

struct Grpc(Arc<Shared>);

#[tonic::async_trait]
impl TraceService for Grpc {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        match self.0.receive(metadata.into_headers(), request) {
            Reply::Takes => Ok(tonic::Response::new(taken(None))),
            Reply::Refuses(count) => Ok(tonic::Response::new(taken(Some(count)))),
            Reply::Throttles(pause) => {
                let details = retry_info(pause).into();
                Err(Status::with_details(Code::ResourceExhausted, "slow down", details))
            }
            Reply::Unavailable => Err(Status::unavailable("restarting")),
            Reply::Invalid => Err(Status::invalid_argument("span without a name")),
            Reply::TooLarge => Err(Status::resource_exhausted("message larger than max")),
            Reply::Cuts => cut(),
            Reply::Hangs => std::future::pending().await,
        }
    }
}

fn taken(refused: Option<i64>) -> ExportTraceServiceResponse {
    let partial_success = refused.map(|rejected_spans| ExportTracePartialSuccess {
        rejected_spans,
        error_message: "older than the retention".into(),
    });
    ExportTraceServiceResponse { partial_success }
}

/// Ends the connection's task, and so the connection, without the noise of a panic hook.
fn cut() -> ! {
    std::panic::resume_unwind(Box::new("the connection is cut"))
}

/// A `google.rpc.Status` with a `RetryInfo`, written by hand: field numbers and wire types as in `google/rpc`.
fn retry_info(pause: Duration) -> Vec<u8> {
    let field = |number: u8, bytes: &[u8]| {
        let mut out = vec![number << 3 | 2, u8::try_from(bytes.len()).expect("short")];
        out.extend_from_slice(bytes);
        out
    };
    let seconds = u8::try_from(pause.as_secs()).expect("short");
    assert!(seconds < 128, "one byte of a varint");
    let retry_info = field(1, &[1 << 3, seconds]);
    let any = [field(1, b"type.googleapis.com/google.rpc.RetryInfo"), field(2, &retry_info)].concat();
    [vec![1 << 3, 8], field(3, &any)].concat()
}
