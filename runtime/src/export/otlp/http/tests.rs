//! One attempt against a server that answers, byte for byte, what the test says.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest,
};

use super::*;
use crate::testing::samples;

/// What the server does with one request.
enum Answer {
    Bytes(Vec<u8>),
    CutsTheConnection,
    /// Until the other side gives up.
    Hangs,
}

fn answer(status: &str, headers: &str, body: &[u8]) -> Answer {
    let mut bytes =
        format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n", body.len())
            .into_bytes();
    bytes.extend_from_slice(body);
    Answer::Bytes(bytes)
}

/// Serves one request and gives it back, head and body.
fn serve(answer: Answer) -> (SocketAddr, thread::JoinHandle<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let request = read_request(&mut stream);
        match answer {
            Answer::Bytes(bytes) => stream.write_all(&bytes).unwrap(),
            Answer::CutsTheConnection => {}
            Answer::Hangs => {
                let _ = stream.read(&mut [0]);
            }
        }
        request
    });
    (address, server)
}

fn read_request(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let count = stream.read(&mut buffer).unwrap();
        assert!(count > 0, "the request is cut off");
        seen.extend_from_slice(&buffer[..count]);
        let Some(end) = seen.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8(seen[..end].to_vec()).unwrap().to_ascii_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map(|length| length.parse::<usize>().unwrap())
            .unwrap();
        if seen.len() >= end + 4 + length {
            return (head, seen[end + 4..].to_vec());
        }
    }
}

fn config(address: SocketAddr) -> OtlpConfig {
    OtlpConfig {
        name: "otlp".into(),
        url: format!("http://{address}/v1/traces"),
        headers: vec![("x-tenant".into(), "blue".into())],
        timeout: Duration::from_secs(60),
        gzip: false,
        certificate: None,
        client_identity: None,
    }
}

fn attempt(config: OtlpConfig) -> Result<Exported, ExportError> {
    let mut exporter = http(config).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        exporter.start(&Resource::builder_empty().with_service_name("planner").build());
        exporter.export(&[samples::span(1, 1, 0, "plan"), samples::span(1, 2, 1, "analyze")]).await
    })
}

fn answered(answer: Answer) -> Result<Exported, ExportError> {
    let (address, server) = serve(answer);
    let result = attempt(config(address));
    server.join().unwrap();
    result
}

#[test]
fn request_is_protobuf_with_the_given_headers() {
    let (address, server) = serve(answer("200 OK", "", b""));
    assert_eq!(attempt(config(address)), Ok(Exported::default()));
    let (head, body) = server.join().unwrap();
    assert!(head.starts_with("post /v1/traces http/1.1"), "{head}");
    assert!(head.contains("\r\ncontent-type: application/x-protobuf\r\n"), "{head}");
    assert!(head.contains("x-tenant: blue"), "{head}");
    assert!(head.contains("user-agent: throughline/"), "{head}");
    let request = ExportTraceServiceRequest::decode(body.as_slice()).unwrap();
    assert_eq!(request.resource_spans[0].scope_spans[0].spans.len(), 2);
}

#[cfg(feature = "otlp-gzip")]
#[test]
fn gzip_body_unpacks_to_the_same_request() {
    let (address, server) = serve(answer("200 OK", "", b""));
    attempt(OtlpConfig { gzip: true, ..config(address) }).unwrap();
    let (head, body) = server.join().unwrap();
    assert!(head.contains("content-encoding: gzip"), "{head}");
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(body.as_slice()).read_to_end(&mut plain).unwrap();
    let request = ExportTraceServiceRequest::decode(plain.as_slice()).unwrap();
    assert_eq!(request.resource_spans[0].scope_spans[0].spans[0].name, "plan");
}

#[test]
fn throttling_names_its_pause() {
    let result = answered(answer("429 Too Many Requests", "retry-after: 17\r\n", b"slow down"));
    assert_eq!(
        result,
        Err(ExportError::Transient {
            retry_after: Some(Duration::from_secs(17)),
            message: "429 Too Many Requests: slow down".into()
        })
    );
}

#[test]
fn gateway_errors_are_for_now() {
    for status in ["502 Bad Gateway", "503 Service Unavailable", "504 Gateway Timeout"] {
        let result = answered(answer(status, "", b""));
        assert_eq!(result, Err(ExportError::Transient { retry_after: None, message: status.into() }));
    }
}

#[test]
fn other_errors_are_for_good_and_say_why() {
    let body = RpcStatus { code: 3, message: "span without a trace id".into(), details: Vec::new() };
    let result = answered(answer("400 Bad Request", "", &body.encode_to_vec()));
    assert_eq!(
        result,
        Err(ExportError::Permanent { message: "400 Bad Request: span without a trace id".into() })
    );
    for status in ["401 Unauthorized", "404 Not Found", "500 Internal Server Error"] {
        assert!(matches!(answered(answer(status, "", b"")), Err(ExportError::Permanent { .. })), "{status}");
    }
}

#[test]
fn redirect_is_not_followed() {
    let result = answered(answer("307 Temporary Redirect", "location: http://127.0.0.1:1/\r\n", b""));
    assert!(matches!(result, Err(ExportError::Permanent { .. })), "{result:?}");
}

#[test]
fn refused_size_asks_for_smaller_batches() {
    let result = answered(answer("413 Payload Too Large", "", b""));
    assert!(matches!(result, Err(ExportError::TooLarge { .. })), "{result:?}");
}

#[test]
fn partial_success_counts_what_was_refused() {
    let body = ExportTraceServiceResponse {
        partial_success: Some(ExportTracePartialSuccess {
            rejected_spans: 1,
            error_message: "too old".into(),
        }),
    };
    let result = answered(answer("200 OK", "", &body.encode_to_vec()));
    assert_eq!(result, Ok(Exported { rejected: 1, reason: "too old".into() }));
}

#[test]
fn success_with_a_meaningless_body_is_success() {
    assert_eq!(answered(answer("200 OK", "", b"<html>ok</html>")), Ok(Exported::default()));
}

#[test]
fn rejected_count_beyond_the_batch_or_below_zero_is_not_believed() {
    assert_eq!(Exported::partial(99, String::new(), 2).rejected, 2);
    assert_eq!(Exported::partial(-5, String::new(), 2).rejected, 0);
}

#[test]
fn cut_connection_is_for_now() {
    let result = answered(Answer::CutsTheConnection);
    assert!(matches!(result, Err(ExportError::Transient { retry_after: None, .. })), "{result:?}");
}

#[test]
fn nobody_listening_is_for_now_and_tells_no_password() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://user:hunter2@{closed}/v1/traces");
    let result = attempt(OtlpConfig { url, ..config(closed) });
    let Err(ExportError::Transient { message, .. }) = result else { panic!("{result:?}") };
    assert!(!message.contains("hunter2"), "{message}");
    assert!(message.to_lowercase().contains("refused"), "{message}");
}

#[test]
fn answer_that_does_not_come_ends_the_attempt() {
    let (address, server) = serve(Answer::Hangs);
    let result = attempt(OtlpConfig { timeout: Duration::from_millis(30), ..config(address) });
    assert_eq!(
        result,
        Err(ExportError::Transient { retry_after: None, message: "no answer within 30ms".into() })
    );
    server.join().unwrap();
}

#[test]
fn settings_that_cannot_work_are_an_error_without_their_secret() {
    let address = SocketAddr::from(([127, 0, 0, 1], 1));
    let url = http(OtlpConfig { url: "nowhere".into(), ..config(address) }).err().unwrap();
    assert!(matches!(url, OtlpError::Url(_)), "{url}");
    let headers = vec![("authorization".to_owned(), "secret\n".to_owned())];
    let header = http(OtlpConfig { headers, ..config(address) }).err().unwrap();
    assert_eq!(header.to_string(), "header `authorization` has a name or value that HTTP does not allow");
    #[cfg(feature = "otlp-tls")]
    {
        let settings = OtlpConfig {
            url: "https://127.0.0.1:1".into(),
            certificate: Some(b"no pem".to_vec()),
            ..config(address)
        };
        let tls = http(settings).err().unwrap();
        assert_eq!(tls.to_string(), "the authority's certificate: no certificate in PEM form in it");
    }
}
