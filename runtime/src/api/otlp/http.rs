//! OTLP over HTTP.

use std::future::poll_fn;
use std::io::Read as _;
use std::pin::Pin;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use bytes::{Bytes, BytesMut};
use flate2::read::MultiGzDecoder;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body::Body as _;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;
use serde_json::json;

use super::budget::{Counted, Share};
use super::receive::{Encoding, Failure, receive};
use crate::api::state::Shared;

/// `POST /v1/traces`.
pub(super) async fn traces(State(shared): State<Shared>, request: Request) -> Response {
    let Some(encoding) = encoding(request.headers()) else {
        // In which of the two it may be answered is not known; people read this one.
        let message = "the body must be application/x-protobuf or application/json";
        return failed(Encoding::Json, &Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, 3, message));
    };
    match taken(&shared, encoding, request).await {
        Ok(response) => succeeded(encoding, &response),
        Err(failure) => failed(encoding, &failure),
    }
}

async fn taken(
    shared: &Shared,
    encoding: Encoding,
    request: Request,
) -> Result<ExportTraceServiceResponse, Failure> {
    let most = shared.options.max_request_bytes;
    let is_gzip = is_gzip(request.headers())?;
    let announced =
        request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: usize| length > most) {
        return Err(too_large(most));
    }
    let share = Share::new(&shared.receiver.budget);
    let body = Counted::new(request.into_body(), &share);
    let read = tokio::time::timeout(shared.options.timeout, read(body, most)).await;
    let body = read.map_err(|_| Failure::slow())??;
    receive(shared, encoding, move || {
        let unpacked = if is_gzip { gunzip(&body, most, &share) } else { Ok(body) };
        // Until it is unpacked; then the bound on decoding counts.
        drop(share);
        unpacked
    })
    .await
}

fn encoding(headers: &HeaderMap) -> Option<Encoding> {
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let media_type = value.split(';').next()?.trim();
    match media_type.to_ascii_lowercase().as_str() {
        "application/x-protobuf" | "application/protobuf" => Some(Encoding::Protobuf),
        "application/json" => Some(Encoding::Json),
        _ => None,
    }
}

fn is_gzip(headers: &HeaderMap) -> Result<bool, Failure> {
    let Some(value) = headers.get(CONTENT_ENCODING) else { return Ok(false) };
    match value.as_bytes().trim_ascii().to_ascii_lowercase().as_slice() {
        b"gzip" => Ok(true),
        b"" | b"identity" => Ok(false),
        _ => {
            let message = "Content-Encoding may be gzip";
            Err(Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, 3, message))
        }
    }
}

fn too_large(most: usize) -> Failure {
    Failure::too_large(format!("the request has more than {most} bytes unpacked; send smaller batches"))
}

async fn read(mut body: Counted, most: usize) -> Result<Bytes, Failure> {
    let mut read = BytesMut::new();
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let frame = frame.map_err(|error| {
            if error.is::<super::budget::UsedUp>() {
                Failure::busy(error.to_string())
            } else {
                Failure::bad(format!("the body ends early: {error}"))
            }
        })?;
        if let Ok(data) = frame.into_data() {
            if data.len() > most - read.len() {
                return Err(too_large(most));
            }
            read.extend_from_slice(&data);
        }
    }
    Ok(read.freeze())
}

fn gunzip(body: &Bytes, most: usize, share: &Share) -> Result<Bytes, Failure> {
    let mut unpacked = Vec::new();
    let mut unpacker = MultiGzDecoder::new(&body[..]);
    let mut piece = [0; 16 << 10];
    loop {
        let length = match unpacker.read(&mut piece) {
            Ok(0) => return Ok(unpacked.into()),
            Ok(length) => length,
            Err(error) => return Err(Failure::bad(format!("the body is no gzip: {error}"))),
        };
        if length > most - unpacked.len() {
            return Err(too_large(most));
        }
        if !share.take(length) {
            return Err(Failure::busy(super::budget::UsedUp.to_string()));
        }
        unpacked.extend_from_slice(piece.get(..length).unwrap_or_default());
    }
}

fn succeeded(encoding: Encoding, response: &ExportTraceServiceResponse) -> Response {
    let body = match encoding {
        Encoding::Protobuf => response.encode_to_vec(),
        Encoding::Json => {
            let body = response.partial_success.as_ref().map_or_else(
                || json!({}),
                |partial| {
                    // Protobuf's JSON writes 64-bit numbers as strings.
                    let rejected = partial.rejected_spans.to_string();
                    json!({"partialSuccess": {"rejectedSpans": rejected, "errorMessage": partial.error_message}})
                },
            );
            body.to_string().into_bytes()
        }
    };
    answer(StatusCode::OK, encoding, body)
}

fn failed(encoding: Encoding, failure: &Failure) -> Response {
    let body = match encoding {
        Encoding::Protobuf => failure.rpc_status().encode_to_vec(),
        Encoding::Json => json!({"code": failure.code, "message": failure.message}).to_string().into_bytes(),
    };
    let mut response = answer(failure.status, encoding, body);
    if let Some(pause) = failure.retry_after {
        response.headers_mut().insert(RETRY_AFTER, pause.as_secs().into());
    }
    response
}

fn answer(status: StatusCode, encoding: Encoding, body: Vec<u8>) -> Response {
    let media_type = match encoding {
        Encoding::Protobuf => "application/x-protobuf",
        Encoding::Json => "application/json",
    };
    let content_type = [(CONTENT_TYPE, HeaderValue::from_static(media_type))];
    (status, content_type, Body::from(body)).into_response()
}
