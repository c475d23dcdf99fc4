use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use tonic::Code;
use tonic::codec::CompressionEncoding;
use tonic::transport::Channel;

use crate::support::{Server, request, span, text};

async fn client(server: &Server) -> TraceServiceClient<Channel> {
    TraceServiceClient::connect(server.url("")).await.unwrap()
}

#[tokio::test]
async fn spans_are_stored_when_they_are_acknowledged_packed_or_not() {
    let server = Server::start(|options| options).await;
    let mut client = client(&server).await;
    let answer = client.export(request(vec![span(1, 1)])).await.unwrap();
    assert_eq!(answer.into_inner().partial_success, None);
    let mut packing = client.clone().send_compressed(CompressionEncoding::Gzip);
    packing.export(request(vec![span(1, 2)])).await.unwrap();
    assert_eq!(server.spans(1).await.len(), 2);
}

#[tokio::test]
async fn rejected_spans_are_told() {
    let server = Server::start(|options| options).await;
    let mut wrong = span(2, 2);
    wrong.trace_id = vec![1; 3];
    let answer = client(&server).await.export(request(vec![span(2, 1), wrong])).await.unwrap();
    let told = answer.into_inner().partial_success.unwrap();
    assert_eq!(told.rejected_spans, 1);
    assert!(told.error_message.contains("trace id"), "{}", told.error_message);
}

#[tokio::test]
async fn store_that_is_away_is_unavailable_with_a_pause() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = Server::over(&format!("postgres://nobody@127.0.0.1:{port}/none"), |options| options).await;
    let error = client(&server).await.export(request(vec![span(3, 1)])).await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable);
    // A `google.rpc.RetryInfo` in the details: senders that find none may not try again at all.
    let details = String::from_utf8_lossy(error.details()).into_owned();
    assert!(details.contains("google.rpc.RetryInfo"), "{details}");
}

#[tokio::test]
async fn request_beyond_the_limit_is_refused_packed_or_not() {
    let server = Server::start(|options| options.max_request_bytes(10_000)).await;
    let mut large = span(4, 1);
    large.attributes = vec![text("k", &"x".repeat(20_000))];
    let mut client = client(&server).await;
    let plain = client.export(request(vec![large.clone()])).await.unwrap_err();
    assert_eq!(plain.code(), Code::ResourceExhausted, "OTLP's senders try again after OUT_OF_RANGE");
    let mut packing = client.clone().send_compressed(CompressionEncoding::Gzip);
    let packed = packing.export(request(vec![large])).await.unwrap_err();
    assert_eq!(packed.code(), Code::ResourceExhausted);
    client.export(request(vec![span(4, 2)])).await.unwrap();
}

#[tokio::test]
async fn token_is_asked_for_here_too() {
    let server = Server::start(|options| options.token("secret")).await;
    let mut client = client(&server).await;
    let error = client.export(request(vec![span(5, 1)])).await.unwrap_err();
    assert_eq!(error.code(), Code::Unauthenticated);
    let mut allowed = tonic::Request::new(request(vec![span(5, 1)]));
    allowed.metadata_mut().insert("authorization", "Bearer secret".parse().unwrap());
    client.export(allowed).await.unwrap();
}
