//! OTLP over HTTP with protobuf bodies.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, StatusCode};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanData;
use prost::Message as _;
use reqwest::{Client, Response, Url};

use super::pause::retry_after;
use super::{OtlpConfig, OtlpError, USER_AGENT, header_map};
use crate::export::chain::chain;
use crate::export::otlp_request::{EncodedResource, request};
use crate::pipeline::exporter::{BatchExporter, ExportError, ExportFuture, Exported};
use crate::rpc_status::RpcStatus;

const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");
/// Of an answer, no more is read.
const ANSWER_BYTES: usize = 64 << 10;
/// Of an error that is no protobuf, no more is told.
const ERROR_CHARACTERS: usize = 200;

/// An exporter that posts each batch to the URL.
///
/// # Errors
///
/// A URL that does not parse, a header that HTTP does not allow, certificates that cannot be used.
pub(crate) fn http(config: OtlpConfig) -> Result<Box<dyn BatchExporter>, OtlpError> {
    let url = Url::parse(&config.url).map_err(|error| OtlpError::Url(error.to_string()))?;
    let mut headers = header_map(&config.headers)?;
    headers.insert(CONTENT_TYPE, PROTOBUF);
    let client = client(&config, &url)?;
    Ok(Box::new(OtlpHttp {
        name: config.name,
        client,
        url,
        headers,
        timeout: config.timeout,
        gzip: config.gzip && cfg!(feature = "otlp-gzip"),
        resource: EncodedResource::default(),
    }))
}

fn client(config: &OtlpConfig, url: &Url) -> Result<Client, OtlpError> {
    let builder = Client::builder()
        .user_agent(USER_AGENT)
        // Both would repeat a request behind the delivery's back.
        .retry(reqwest::retry::never())
        .redirect(reqwest::redirect::Policy::none());
    // Always named: left to choose, a client would take the process's provider, whose ever that is, and load the
    // system's certificates even if it will only ever speak plain HTTP.
    #[cfg(feature = "otlp-tls")]
    let builder = builder.tls_backend_preconfigured(match url.scheme() {
        "https" => super::tls::rustls_config(config)?,
        _ => super::tls::unused()?,
    });
    let _ = (config, url);
    // Without our TLS feature another crate's choice of features decides, and `rustls-no-provider` panics.
    match catch_unwind(AssertUnwindSafe(|| builder.build())) {
        Ok(client) => client.map_err(|error| OtlpError::Client(chain(&error))),
        Err(_) => Err(OtlpError::Client("no TLS provider; turn on the feature `otlp-tls`".to_owned())),
    }
}

struct OtlpHttp {
    name: String,
    client: Client,
    url: Url,
    headers: HeaderMap,
    timeout: Duration,
    gzip: bool,
    resource: EncodedResource,
}

impl OtlpHttp {
    async fn attempt(&self, spans: &[SpanData]) -> Result<Exported, ExportError> {
        let body = request(&self.resource, spans).encode_to_vec();
        let mut post = self.client.post(self.url.clone()).headers(self.headers.clone());
        post = match self.gzip.then(|| gzip(&body)).flatten() {
            Some(small) => post.header(http::header::CONTENT_ENCODING, "gzip").body(small),
            None => post.body(body),
        };
        let answer = post.send().await.map_err(|error| failed(&error))?;
        let status = answer.status();
        let pause = retry_after(answer.headers(), SystemTime::now());
        let answer = read(answer).await;
        if status.is_success() {
            // The spans arrived; an answer that was cut off or is no protobuf changes nothing about that.
            return Ok(answer.map(|body| partial_success(&body, spans.len())).unwrap_or_default());
        }
        Err(refused(status, pause, &answer.unwrap_or_default()))
    }
}

impl BatchExporter for OtlpHttp {
    fn component_type(&self) -> &'static str {
        "otlp_http_span_exporter"
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn start(&mut self, resource: &Resource) {
        self.resource = EncodedResource::new(resource);
    }

    fn export<'a>(&'a mut self, spans: &'a [SpanData]) -> ExportFuture<'a> {
        Box::pin(async move {
            match tokio::time::timeout(self.timeout, self.attempt(spans)).await {
                Ok(result) => result,
                Err(_) => Err(ExportError::Transient {
                    retry_after: None,
                    message: format!("no answer within {:?}", self.timeout).into(),
                }),
            }
        })
    }

    fn may_block(&self) -> bool {
        false
    }
}

/// Fewer bytes, or nothing where the feature is missing.
fn gzip(body: &[u8]) -> Option<Vec<u8>> {
    #[cfg(feature = "otlp-gzip")]
    {
        use std::io::Write as _;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(body).ok()?;
        encoder.finish().ok()
    }
    #[cfg(not(feature = "otlp-gzip"))]
    {
        let _ = body;
        None
    }
}

/// No answer at all.
fn failed(error: &reqwest::Error) -> ExportError {
    // The URL may hold a password, and set-up has told it already.
    let message =
        chain(error).replace(&error.url().map(|url| format!(" for url ({url})")).unwrap_or_default(), "");
    if error.is_builder() {
        ExportError::Permanent { message: message.into() }
    } else {
        ExportError::Transient { retry_after: None, message: message.into() }
    }
}

/// An answer other than success (OTLP specification, "Failures" and "OTLP/HTTP Throttling").
fn refused(status: StatusCode, pause: Option<Duration>, body: &[u8]) -> ExportError {
    let details = RpcStatus::decode(body).ok();
    // The header is the rule; some receivers answer as they would over gRPC.
    let pause = pause.or_else(|| details.as_ref()?.retry_delay());
    let message = explained(status, details, body).into();
    match status {
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => ExportError::Transient { retry_after: pause, message },
        StatusCode::PAYLOAD_TOO_LARGE => ExportError::TooLarge { message },
        _ => ExportError::Permanent { message },
    }
}

/// The status, and the receiver's own words: a `google.rpc.Status` by the specification, often plain text.
fn explained(status: StatusCode, details: Option<RpcStatus>, body: &[u8]) -> String {
    let words = match details {
        Some(status) if !status.message.is_empty() => status.message,
        _ => String::from_utf8_lossy(body).into_owned(),
    };
    let words: String =
        words.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(ERROR_CHARACTERS).collect();
    if words.is_empty() { status.to_string() } else { format!("{status}: {words}") }
}

fn partial_success(body: &[u8], spans: usize) -> Exported {
    let Some(partial) =
        ExportTraceServiceResponse::decode(body).ok().and_then(|answer| answer.partial_success)
    else {
        return Exported::default();
    };
    Exported::partial(partial.rejected_spans, partial.error_message, spans)
}

/// The body, or as much of it as is worth reading.
async fn read(mut answer: Response) -> Option<Bytes> {
    let mut body = BytesMut::new();
    while let Some(chunk) = answer.chunk().await.ok()? {
        body.extend_from_slice(&chunk);
        if body.len() >= ANSWER_BYTES {
            break;
        }
    }
    Some(body.freeze())
}

#[cfg(test)]
mod tests;
