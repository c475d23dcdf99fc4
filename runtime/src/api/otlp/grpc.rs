//! OTLP over gRPC: `TraceService`, on `tonic`.
//!
//! With a codec of our own, because a message must not be decoded before it was looked at.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use bytes::{Buf as _, Bytes};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::{Code, Status};
use tower_service::Service;

use super::budget::{Counted, Share};
use super::receive::{Encoding, Failure, receive};
use crate::api::problem::Problem;
use crate::api::state::Shared;

/// `/opentelemetry.proto.collector.trace.v1.TraceService/Export`.
pub(super) async fn export(State(shared): State<Shared>, request: Request) -> Response {
    if !is_grpc(request.headers()) {
        return StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response();
    }
    let share = Share::new(&shared.receiver.budget);
    let most = shared.options.max_request_bytes;
    let timeout = shared.options.timeout;
    let request = request.map(|body| Counted::new(body, &share));
    let mut grpc = tonic::server::Grpc::new(Raw)
        .accept_compressed(CompressionEncoding::Gzip)
        .apply_max_message_size_config(Some(most), None);
    // A body that comes too slowly holds memory; the store's time is counted apart.
    let allowed = timeout.saturating_mul(2);
    match tokio::time::timeout(allowed, grpc.unary(Export { shared, share }, request)).await {
        Ok(response) => too_large(response.map(Body::new)),
        Err(_) => status(&Failure::slow()).into_http(),
    }
}

/// Whether a client of gRPC asks.
pub(in crate::api) fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// The answer to a client of gRPC that is not let in: it reads no other body than its own.
pub(in crate::api) fn denied(problem: &Problem) -> Response {
    let code = if problem.status == StatusCode::UNAUTHORIZED {
        Code::Unauthenticated
    } else {
        Code::PermissionDenied
    };
    Status::new(code, problem.detail.as_ref()).into_http()
}

/// tonic says `OUT_OF_RANGE` of a message beyond the limit, after which OTLP's senders try again.
fn too_large(mut response: Response) -> Response {
    if let Some(status) = response.headers_mut().get_mut(Status::GRPC_STATUS)
        && *status == "11"
    {
        *status = HeaderValue::from_static("8");
    }
    response
}

/// The method.
struct Export {
    shared: Shared,
    share: Arc<Share>,
}

impl Service<tonic::Request<Bytes>> for Export {
    type Response = tonic::Response<ExportTraceServiceResponse>;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Status>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: tonic::Request<Bytes>) -> Self::Future {
        let (shared, share) = (Arc::clone(&self.shared), Arc::clone(&self.share));
        Box::pin(async move {
            let body = request.into_inner();
            let received = receive(&shared, Encoding::Protobuf, move || {
                drop(share);
                Ok(body)
            });
            received.await.map(tonic::Response::new).map_err(|failure| status(&failure))
        })
    }
}

fn status(failure: &Failure) -> Status {
    let details = failure.rpc_status().encode_to_vec();
    Status::with_details(Code::from(failure.code), failure.message.clone(), details.into())
}

/// Messages as their bytes.
#[derive(Debug, Clone, Copy)]
struct Raw;

impl Codec for Raw {
    type Encode = ExportTraceServiceResponse;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Raw {
    type Item = ExportTraceServiceResponse;
    type Error = Status;

    fn encode(&mut self, item: Self::Item, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        item.encode(out).map_err(|error| Status::internal(error.to_string()))
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, message: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(message.copy_to_bytes(message.remaining())))
    }
}
