use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use opentelemetry_proto::tonic::trace::v1::Status;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use prost::Message as _;
use serde_json::{Value as Json, json};
use throughline::api::ApiOptions;

use crate::support::{JSON, PROTOBUF, Server, gzip, request, span, text};

/// `google.rpc.Status`, as senders read it.
#[derive(Clone, PartialEq, prost::Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

#[tokio::test]
async fn protobuf_is_stored_when_it_is_acknowledged() {
    let server = Server::start(|options| options).await;
    let mut sent = span(1, 2);
    sent.attributes = vec![text("task_id", "t-1")];
    sent.events = vec![Event { name: "e".to_owned(), time_unix_nano: 7, ..Event::default() }];
    sent.links = vec![Link { trace_id: vec![3; 16], span_id: vec![4; 8], ..Link::default() }];
    sent.status = Some(Status { code: 2, message: "no".to_owned() });
    let answer = server.post(PROTOBUF, false, request(vec![sent]).encode_to_vec()).await;
    assert_eq!((answer.status, answer.content_type.as_str()), (200, PROTOBUF));
    assert_eq!(
        ExportTraceServiceResponse::decode(answer.body.as_slice()).unwrap(),
        ExportTraceServiceResponse::default()
    );
    let [stored] = &server.spans(1).await[..] else { panic!("one span") };
    assert_eq!(stored["operation_name"], "work 2");
    assert_eq!(stored["service_name"], "shop");
    assert_eq!(stored["task_id"], "t-1");
    assert_eq!(stored["status"], "error");
    assert_eq!(stored["error_message"], "no");
    assert_eq!(stored["duration_ns"], "5000000");
    assert_eq!(stored["events"][0]["name"], "e");
    assert_eq!(stored["links"][0]["span_id"], "0404040404040404");
}

#[tokio::test]
async fn both_encodings_may_be_packed() {
    let server = Server::start(|options| options).await;
    let body = request(vec![span(2, 1)]).encode_to_vec();
    assert_eq!(server.post(PROTOBUF, true, gzip(&body)).await.status, 200);
    let body = json!({"resourceSpans": [{"scopeSpans": [{"spans": [{
        "traceId": format!("{:032x}", 3), "spanId": format!("{:016x}", 1), "name": "json",
        "startTimeUnixNano": crate::support::begin_ns().to_string(),
        "endTimeUnixNano": crate::support::begin_ns().to_string(),
    }]}]}]});
    let answer =
        server.post("application/json; charset=utf-8", true, gzip(body.to_string().as_bytes())).await;
    assert_eq!((answer.status, answer.content_type.as_str()), (200, JSON));
    assert_eq!(answer.json(), json!({}));
    assert_eq!(server.spans(2).await.len(), 1);
    assert_eq!(server.spans(3).await[0]["operation_name"], "json");
}

// store.md, section 8: export is `/{trace_id}/export`; import is posting that document to `/v1/traces`.
#[tokio::test]
async fn what_one_store_exports_another_imports() {
    let (from, to) = (Server::start(|options| options).await, Server::start(|options| options).await);
    let mut sent = span(4, 1);
    sent.trace_state = "a=b".to_owned();
    sent.flags = 0x301;
    sent.dropped_events_count = 3;
    sent.attributes = vec![text("k", "v")];
    let mut child = span(4, 2);
    child.parent_span_id = sent.span_id.clone();
    assert_eq!(from.post(PROTOBUF, false, request(vec![sent, child]).encode_to_vec()).await.status, 200);
    let exported = reqwest::get(from.url(&format!("/api/traces/{:032x}/export", 4))).await.unwrap();
    let document = exported.bytes().await.unwrap().to_vec();
    assert_eq!(to.post(JSON, false, document).await.status, 200);
    let without_time_of_storing = |mut spans: Vec<Json>| {
        for span in &mut spans {
            assert!(span.as_object_mut().unwrap().remove("created_at").is_some());
        }
        spans
    };
    let there = without_time_of_storing(to.spans(4).await);
    assert_eq!(there.len(), 2);
    assert_eq!(there, without_time_of_storing(from.spans(4).await));
}

#[tokio::test]
async fn request_that_is_sent_again_is_stored_once() {
    let server = Server::start(|options| options).await;
    let body = request(vec![span(5, 1), span(5, 2)]).encode_to_vec();
    for _ in 0..3 {
        let answer = server.post(PROTOBUF, false, body.clone()).await;
        assert_eq!((answer.status, answer.body.as_slice()), (200, &[][..]));
    }
    assert_eq!(server.spans(5).await.len(), 2);
}

#[tokio::test]
async fn rejected_spans_are_told_with_the_reason_in_the_encoding_of_the_request() {
    let server = Server::start(|options| options).await;
    let mut no_id = span(6, 2);
    no_id.span_id.clear();
    let mut from_1970 = span(6, 3);
    from_1970.start_time_unix_nano = 1;
    let sent = request(vec![span(6, 1), no_id, from_1970]);
    let answer = server.post(PROTOBUF, false, sent.encode_to_vec()).await;
    let told = ExportTraceServiceResponse::decode(answer.body.as_slice()).unwrap().partial_success.unwrap();
    assert_eq!((answer.status, told.rejected_spans), (200, 2));
    assert!(told.error_message.contains("1 with a span id that is not 8 bytes"), "{}", told.error_message);
    assert!(told.error_message.contains("1 older than the retention"), "{}", told.error_message);
    assert_eq!(server.spans(6).await.len(), 1);

    let json = json!({"resourceSpans": [{"scopeSpans": [{"spans": [{"name": "no id"}]}]}]});
    let answer = server.post(JSON, false, json.to_string().into_bytes()).await;
    assert_eq!((answer.status, &answer.json()["partialSuccess"]["rejectedSpans"]), (200, &json!("1")));
}

#[tokio::test]
async fn bad_bodies_are_answered_with_a_status_in_their_own_encoding() {
    let server = Server::start(|options| options).await;
    let answer = server.post(PROTOBUF, false, b"\x0a\xffnonsense".to_vec()).await;
    let status = RpcStatus::decode(answer.body.as_slice()).unwrap();
    assert_eq!((answer.status, answer.content_type.as_str(), status.code), (400, PROTOBUF, 3));
    assert!(status.message.contains("protobuf"), "{}", status.message);
    let answer = server.post(JSON, false, b"{\"resourceSpans\": 5}".to_vec()).await;
    assert_eq!((answer.status, answer.content_type.as_str()), (400, JSON));
    assert_eq!(answer.json()["code"], 3);
    assert!(answer.json()["message"].as_str().unwrap().contains("line 1"), "{}", answer.json());
    let answer = server.post(PROTOBUF, true, b"no gzip".to_vec()).await;
    assert_eq!(answer.status, 400);
    let answer = server.post("text/plain", false, Vec::new()).await;
    assert_eq!(answer.status, 415);
    let zstd = reqwest::Client::new()
        .post(server.url("/v1/traces"))
        .header("content-type", PROTOBUF)
        .header("content-encoding", "zstd");
    assert_eq!(zstd.send().await.unwrap().status(), 415);
    assert_eq!(reqwest::get(server.url("/v1/traces")).await.unwrap().status(), 405);
}

#[tokio::test]
async fn empty_request_is_taken() {
    let server = Server::start(|options| options).await;
    assert_eq!(server.post(PROTOBUF, false, Vec::new()).await.status, 200);
    assert_eq!(server.post(JSON, false, b"{}".to_vec()).await.status, 200);
}

#[tokio::test]
async fn store_that_is_away_is_503_with_a_pause() {
    // Nobody listens on a port that was just given back.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = Server::over(&format!("postgres://nobody@127.0.0.1:{port}/none"), |options| options).await;
    let answer = server.post(PROTOBUF, false, request(vec![span(7, 1)]).encode_to_vec()).await;
    assert_eq!((answer.status, answer.retry_after), (503, Some(1)));
    let status = RpcStatus::decode(answer.body.as_slice()).unwrap();
    assert_eq!(status.code, 14);
    assert!(!status.message.contains("127.0.0.1"), "no inner workings: {}", status.message);
}

#[tokio::test]
async fn token_is_asked_for_here_too() {
    let server = Server::start(|options: ApiOptions| options.token("secret")).await;
    let body = request(vec![span(8, 1)]).encode_to_vec();
    assert_eq!(server.post(PROTOBUF, false, body.clone()).await.status, 401);
    let allowed = reqwest::Client::new()
        .post(server.url("/v1/traces"))
        .header("content-type", PROTOBUF)
        .header("authorization", "Bearer secret")
        .body(body);
    assert_eq!(allowed.send().await.unwrap().status(), 200);
}
