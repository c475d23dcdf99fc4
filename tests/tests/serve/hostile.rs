use std::time::Duration;

use prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{JSON, PROTOBUF, Server, gzip, request, span, text};

#[tokio::test]
async fn what_is_larger_than_the_limit_is_413_packed_or_not() {
    let server = Server::start(|options| options.max_request_bytes(100_000)).await;
    let mut large = span(1, 1);
    large.attributes = vec![text("k", &"x".repeat(100_000))];
    let body = request(vec![large]).encode_to_vec();
    assert_eq!(server.post(PROTOBUF, true, gzip(&body)).await.status, 413);
    assert_eq!(server.post(PROTOBUF, false, body).await.status, 413);
    let bomb = gzip(&vec![0; 10 << 20]);
    assert_eq!(server.post(PROTOBUF, true, bomb).await.status, 413);
    // A body of unknown length.
    let piece =
        || Ok::<_, std::io::Error>(http_body::Frame::data(bytes::Bytes::from_static(&[b' '; 10_000])));
    let pieces = http_body_util::StreamBody::new(futures_util::stream::repeat_with(piece));
    let endless = reqwest::Client::new()
        .post(server.url("/v1/traces"))
        .header("content-type", JSON)
        .body(reqwest::Body::wrap(pieces));
    // The answer comes before the body's end; a client that goes on writing may meet the closed connection first.
    if let Ok(answer) = endless.send().await {
        assert_eq!(answer.status(), 413);
    }
    assert_eq!(server.post(PROTOBUF, false, request(vec![span(1, 2)]).encode_to_vec()).await.status, 200);
}

#[tokio::test]
async fn more_messages_than_memory_is_for_are_413() {
    let server = Server::start(|options| options).await;
    // Field 2 of a `ScopeSpans`, empty, 600,000 times; and that in fields 2 and 1.
    let field = |tag: u8, inner: Vec<u8>| {
        let mut message = vec![tag];
        prost::encode_length_delimiter(inner.len(), &mut message).unwrap();
        message.extend(inner);
        message
    };
    let body = field(0x0a, field(0x12, [0x12, 0].repeat(600_000)));
    assert_eq!(server.post(PROTOBUF, true, gzip(&body)).await.status, 413);
}

#[tokio::test]
async fn bodies_that_take_all_memory_together_are_429() {
    let server = Server::start(|options| options.max_waiting_bytes(50_000)).await;
    let begun = async |bytes: usize| {
        let mut connection = TcpStream::connect(server.address).await.unwrap();
        let head = format!(
            "POST /v1/traces HTTP/1.1\r\nhost: localhost\r\ncontent-type: {PROTOBUF}\r\ncontent-length: 60000\r\n\r\n"
        );
        connection.write_all(head.as_bytes()).await.unwrap();
        connection.write_all(&vec![0; bytes]).await.unwrap();
        connection
    };
    // Each less than may come in, both together more: at least one of them is told so.
    let (mut first, mut second) = (begun(30_000).await, begun(30_000).await);
    let mut answers = [[0; 12]; 2];
    let [a, b] = &mut answers;
    tokio::select! {
        read = first.read_exact(a) => drop(read.unwrap()),
        read = second.read_exact(b) => drop(read.unwrap()),
    }
    assert!(answers.iter().any(|answer| answer == b"HTTP/1.1 429"), "{answers:?}");
    drop((first, second));
}

#[tokio::test]
async fn body_that_never_ends_is_given_up() {
    let server = Server::start(|options| options.timeout(Duration::from_millis(100))).await;
    let mut connection = TcpStream::connect(server.address).await.unwrap();
    let head = format!(
        "POST /v1/traces HTTP/1.1\r\nhost: localhost\r\ncontent-type: {PROTOBUF}\r\ncontent-length: 10\r\n\r\nabc"
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    connection.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 408");
}

#[tokio::test]
async fn hostile_texts_come_back_as_texts() {
    let server = Server::start(|options| options).await;
    for (number, hostile) in ["'; drop table execution_traces; --", "a\0b", "\u{202e}\u{ffff}", "$bytes", ""]
        .into_iter()
        .enumerate()
    {
        let trace = number as u128 + 1;
        let mut sent = span(trace, 1);
        sent.name = hostile.to_owned();
        sent.attributes = vec![text(hostile, hostile), text("task_id", hostile)];
        let answer = server.post(PROTOBUF, false, request(vec![sent]).encode_to_vec()).await;
        assert_eq!((answer.status, answer.body.len()), (200, 0), "{hostile:?}");
        let stored = server.spans(trace).await.remove(0);
        let kept = hostile.replace('\0', "\u{fffd}");
        assert_eq!(stored["operation_name"], kept.as_str());
        assert_eq!(stored["attributes"][&kept], kept.as_str());
    }
}

#[tokio::test]
async fn megabyte_attribute_and_broken_characters_are_stored() {
    let server = Server::start(|options| options).await;
    let mut sent = span(9, 1);
    sent.attributes = vec![text("prompt", &"x".repeat(1 << 20)), text("city", "K\u{f6}ln")];
    let mut body = request(vec![sent, span(9, 2)]).encode_to_vec();
    let at = body.windows(3).position(|window| window == "\u{f6}l".as_bytes()).unwrap();
    body[at] = 0xff;
    let answer = server.post(PROTOBUF, false, body).await;
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    let stored = server.spans(9).await;
    assert_eq!(stored.len(), 2);
    let broken = stored.iter().find(|span| span["attributes"]["city"].is_string()).unwrap();
    assert_eq!(broken["attributes"]["city"], "K??ln");
    assert_eq!(broken["attributes"]["prompt"].as_str().unwrap().len(), 1 << 20);
}
