//! OTLP over gRPC.

use std::error::Error as _;
use std::time::Duration;

use http::HeaderMap;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanData;
use prost::Message as _;
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use super::{OtlpConfig, OtlpError, USER_AGENT, header_map};
use crate::export::chain::chain;
use crate::export::otlp_request::{EncodedResource, request};
use crate::pipeline::exporter::{BatchExporter, ExportError, ExportFuture, Exported};
use crate::rpc_status::RpcStatus;

/// An exporter that calls `TraceService/Export` with each batch. It connects with the first one.
///
/// # Errors
///
/// A URL that does not parse, a header that HTTP does not allow, certificates that cannot be used.
pub(crate) fn grpc(config: OtlpConfig) -> Result<Box<dyn BatchExporter>, OtlpError> {
    let endpoint = Endpoint::from_shared(config.url.clone())
        .and_then(|endpoint| endpoint.user_agent(USER_AGENT))
        .map_err(|error| OtlpError::Url(chain(&error)))?
        .connect_timeout(config.timeout);
    #[cfg(feature = "otlp-tls")]
    let endpoint = if endpoint.uri().scheme_str() == Some("https") {
        endpoint.tls_config(super::tls::tonic_config(&config)).map_err(|error| OtlpError::Tls {
            what: "the certificates for the OTLP endpoint",
            why: chain(&error),
        })?
    } else {
        endpoint
    };
    Ok(Box::new(OtlpGrpc {
        headers: header_map(&config.headers)?,
        name: config.name,
        endpoint,
        timeout: config.timeout,
        gzip: config.gzip,
        client: None,
        resource: EncodedResource::default(),
    }))
}

struct OtlpGrpc {
    name: String,
    endpoint: Endpoint,
    headers: HeaderMap,
    timeout: Duration,
    gzip: bool,
    /// Made on the thread whose runtime drives it.
    client: Option<TraceServiceClient<Channel>>,
    resource: EncodedResource,
}

impl OtlpGrpc {
    fn connect(&self) -> TraceServiceClient<Channel> {
        let client = TraceServiceClient::new(self.endpoint.connect_lazy());
        #[cfg(feature = "otlp-gzip")]
        let client = if self.gzip {
            client
                .send_compressed(tonic::codec::CompressionEncoding::Gzip)
                .accept_compressed(tonic::codec::CompressionEncoding::Gzip)
        } else {
            client
        };
        let _ = self.gzip;
        client
    }
}

impl BatchExporter for OtlpGrpc {
    fn component_type(&self) -> &'static str {
        "otlp_grpc_span_exporter"
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn start(&mut self, resource: &Resource) {
        self.resource = EncodedResource::new(resource);
        self.client = Some(self.connect());
    }

    fn export<'a>(&'a mut self, spans: &'a [SpanData]) -> ExportFuture<'a> {
        Box::pin(async move {
            let Some(client) = &mut self.client else {
                return Err(ExportError::Permanent { message: "not started".into() });
            };
            let mut call = Request::new(request(&self.resource, spans));
            *call.metadata_mut() = MetadataMap::from_headers(self.headers.clone());
            match tokio::time::timeout(self.timeout, client.export(call)).await {
                Ok(Ok(answer)) => Ok(match answer.into_inner().partial_success {
                    Some(partial) => {
                        Exported::partial(partial.rejected_spans, partial.error_message, spans.len())
                    }
                    None => Exported::default(),
                }),
                Ok(Err(status)) => Err(classified(&status)),
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

/// The classes of the OTLP specification, "OTLP/gRPC Response". Without `RetryInfo`, `RESOURCE_EXHAUSTED` is about
/// this request, commonly its size; with one it is throttling.
fn classified(status: &Status) -> ExportError {
    let retry_after = RpcStatus::decode(status.details()).ok().and_then(|status| status.retry_delay());
    let connection = status.source().map(|cause| format!(": {}", chain(cause))).unwrap_or_default();
    let message = format!("{:?}: {}{connection}", status.code(), status.message()).into();
    match status.code() {
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => ExportError::Transient { retry_after, message },
        Code::ResourceExhausted if retry_after.is_some() => ExportError::Transient { retry_after, message },
        Code::ResourceExhausted => ExportError::TooLarge { message },
        // A cause is a failure on our side of the connection: the receiver has given no verdict.
        _ if status.source().is_some() => ExportError::Transient { retry_after, message },
        _ => ExportError::Permanent { message },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc_status::{Any, RetryInfo, RpcDuration};

    #[test]
    fn exhausted_with_a_delay_is_throttling_and_without_one_too_large() {
        let delay = RpcDuration { seconds: 3, nanos: 500_000_000 };
        let info = RetryInfo { retry_delay: Some(delay) };
        let details = RpcStatus {
            code: Code::ResourceExhausted as i32,
            message: "slow down".into(),
            details: vec![Any {
                type_url: "type.googleapis.com/google.rpc.RetryInfo".into(),
                value: info.encode_to_vec(),
            }],
        };
        let throttled =
            Status::with_details(Code::ResourceExhausted, "slow down", details.encode_to_vec().into());
        let ExportError::Transient { retry_after, .. } = classified(&throttled) else { panic!("throttling") };
        assert_eq!(retry_after, Some(Duration::from_millis(3500)));
        let exhausted = Status::new(Code::ResourceExhausted, "message larger than max");
        assert!(matches!(classified(&exhausted), ExportError::TooLarge { .. }));
    }

    #[test]
    fn codes_fall_into_the_classes_of_the_specification() {
        for code in
            [Code::Unavailable, Code::DeadlineExceeded, Code::Aborted, Code::Cancelled, Code::DataLoss]
        {
            assert!(matches!(classified(&Status::new(code, "")), ExportError::Transient { .. }), "{code:?}");
        }
        for code in
            [Code::InvalidArgument, Code::Unauthenticated, Code::PermissionDenied, Code::Unimplemented]
        {
            assert!(matches!(classified(&Status::new(code, "")), ExportError::Permanent { .. }), "{code:?}");
        }
    }
}
