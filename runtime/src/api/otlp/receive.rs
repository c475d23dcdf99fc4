//! What both transports do with a request.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceResponse,
};

use super::Refusal;
use crate::api::state::Shared;
use crate::rpc_status::RpcStatus;
use crate::store::otlp::{self, DecodeError, Received, Rejected};

/// After this a sender may try again what could not be taken.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How the request is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Protobuf,
    Json,
}

/// Why a request was not taken, in the words of both transports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) status: StatusCode,
    /// gRPC's number.
    pub(super) code: i32,
    pub(super) message: String,
    pub(super) retry_after: Option<Duration>,
}

const INVALID_ARGUMENT: i32 = 3;
const DEADLINE_EXCEEDED: i32 = 4;
const RESOURCE_EXHAUSTED: i32 = 8;
const INTERNAL: i32 = 13;
const UNAVAILABLE: i32 = 14;

impl Failure {
    pub(super) fn new(status: StatusCode, code: i32, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), retry_after: None }
    }

    /// Never to be sent again.
    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, INVALID_ARGUMENT, message)
    }

    /// To be sent again in smaller parts.
    pub(super) fn too_large(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, RESOURCE_EXHAUSTED, message)
    }

    /// To be sent again, later.
    pub(super) fn busy(message: impl Into<String>) -> Self {
        Self {
            retry_after: Some(RETRY_AFTER),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, UNAVAILABLE, message)
        }
    }

    fn away(message: impl Into<String>) -> Self {
        Self {
            retry_after: Some(RETRY_AFTER),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, UNAVAILABLE, message)
        }
    }

    /// The body did not come in time.
    pub(super) fn slow() -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, DEADLINE_EXCEEDED, "the request did not come in time")
    }

    fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, INTERNAL, "the request could not be handled")
    }

    /// As `google.rpc.Status`.
    pub(super) fn rpc_status(&self) -> RpcStatus {
        RpcStatus::new(self.code, self.message.clone(), self.retry_after)
    }
}

impl From<DecodeError> for Failure {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::TooMany => Self::too_large(error.to_string()),
            DecodeError::Malformed { .. } => Self::bad(error.to_string()),
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let message = refusal.to_string();
        match refusal {
            Refusal::Full => Self::busy(message),
            Refusal::Away => Self::away(message),
            Refusal::Refused => Self::new(StatusCode::INTERNAL_SERVER_ERROR, INTERNAL, message),
        }
    }
}

/// Decodes a body and stores its spans; returns when they are committed.
///
/// `unpack` makes the message out of what came over the wire. It runs where it may take its time.
pub(super) async fn receive(
    shared: &Shared,
    encoding: Encoding,
    unpack: impl FnOnce() -> Result<Bytes, Failure> + Send + 'static,
) -> Result<ExportTraceServiceResponse, Failure> {
    let receiver = &shared.receiver;
    let place = std::sync::Arc::clone(&receiver.decoding).acquire_owned().await;
    let lift = shared.options.lift.clone();
    let decoded = tokio::task::spawn_blocking(move || {
        let _place = place;
        let body = unpack()?;
        let request = match encoding {
            Encoding::Protobuf => otlp::from_protobuf(&body)?,
            Encoding::Json => otlp::from_json(&body)?,
        };
        Ok::<_, Failure>(otlp::rows(request, &lift))
    });
    let Received { spans, rejected } = decoded.await.map_err(|_| Failure::internal())??;
    let written = tokio::time::timeout(shared.options.timeout, receiver.ingest.write(spans)).await;
    // What was handed over is written all the same; a repetition is recognised.
    let written = written.map_err(|_| Failure::away("the store does not answer"))??;
    if written.inserted > 0 {
        shared.committed();
    }
    Ok(ExportTraceServiceResponse { partial_success: partial_success(&rejected, written.rejected) })
}

/// `None` when all spans were taken.
fn partial_success(no_spans: &Rejected, unstorable: usize) -> Option<ExportTracePartialSuccess> {
    let count = no_spans.count() + unstorable;
    if count == 0 {
        return None;
    }
    let mut error_message = format!("rejected: {no_spans}");
    if unstorable > 0 {
        let separator = if no_spans.count() > 0 { "; " } else { "" };
        error_message.push_str(&format!(
            "{separator}{unstorable} older than the retention, more than a year ahead, or with a value that the database \
             cannot hold"
        ));
    }
    Some(ExportTracePartialSuccess {
        rejected_spans: i64::try_from(count).unwrap_or(i64::MAX),
        error_message,
    })
}
