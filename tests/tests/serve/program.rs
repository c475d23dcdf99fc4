//! The program as one starts it.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::{Span as _, TraceId, Tracer as _, TracerProvider as _};
use prost::Message as _;
use serde_json::Value as Json;
use throughline::store::{self, StoreOptions};
use throughline::{Exporter, OtlpProtocol, Setup, Telemetry};
use throughline_tests::program::{Serve, command};
use throughline_tests::store::Folder;

use crate::support::{PROTOBUF, request, span};

const FAR: Duration = Duration::from_secs(60);

/// Our own exporter.
fn exporter(url: &str, protocol: OtlpProtocol, gzip: bool) -> Telemetry {
    Setup::new("planner")
        .environment([("OTEL_EXPORTER_OTLP_COMPRESSION", if gzip { "gzip" } else { "none" })])
        .exporters([Exporter::Otlp])
        .otlp_endpoint(url)
        .otlp_protocol(protocol)
        .schedule_delay(FAR)
        .local()
        .unwrap()
}

/// So many spans, each a trace of its own.
pub(crate) fn send(telemetry: &Telemetry, spans: usize) -> Vec<TraceId> {
    let tracer = telemetry.provider().expect("tracing is on").tracer("test");
    let one = |number: usize| {
        let mut span = tracer.start(format!("span {number}"));
        span.set_attribute(KeyValue::new("task_id", format!("task {number}")));
        span.end();
        span.span_context().trace_id()
    };
    (0..spans).map(one).collect()
}

pub(crate) async fn get(url: &str) -> Json {
    let answer = reqwest::get(url).await.unwrap();
    assert!(answer.status().is_success(), "{url}: {}", answer.status());
    serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn our_exporters_send_and_the_rest_api_answers() {
    let folder = Folder::new();
    let serve = Serve::start(&folder.url(), &[]);
    for (protocol, url, gzip) in [
        (OtlpProtocol::HttpProtobuf, serve.otlp_http(), false),
        (OtlpProtocol::HttpProtobuf, serve.otlp_http(), true),
        (OtlpProtocol::Grpc, serve.otlp_grpc(), false),
        (OtlpProtocol::Grpc, serve.otlp_grpc(), true),
    ] {
        let telemetry = exporter(url, protocol, gzip);
        let traces = send(&telemetry, 20);
        let report = tokio::task::spawn_blocking(move || telemetry.shutdown(FAR)).await.unwrap();
        assert!(report.is_complete(), "{protocol:?} {gzip}: {report}");
        for (number, trace) in traces.iter().enumerate() {
            let spans = get(&serve.api(&format!("/api/traces/{trace}/spans"))).await;
            assert_eq!(spans.as_array().unwrap().len(), 1);
            assert_eq!(spans[0]["operation_name"], format!("span {number}"));
            assert_eq!(spans[0]["task_id"], format!("task {number}"));
            assert_eq!(spans[0]["service_name"], "planner");
        }
    }
    let services = get(&serve.api("/jaeger/api/services")).await;
    assert_eq!(services["data"], serde_json::json!(["planner"]));
    assert!(get(&serve.api("/health")).await.is_object());
}

#[tokio::test]
async fn settings_of_the_greeting_are_those_that_work() {
    let folder = Folder::new();
    let serve = Serve::start(&folder.url(), &[]);
    assert!(serve.greeting.contains(&format!("sqlite:{}", folder.0.join("traces.db").display())));
    assert!(serve.greeting.contains(&format!("TRACING_OTLP_ENDPOINT={}\n", serve.otlp_http())));
    // The API's port takes spans as well.
    for url in [serve.otlp_http().to_owned(), serve.api("/v1/traces")] {
        let sent = reqwest::Client::new()
            .post(url)
            .header("content-type", PROTOBUF)
            .body(request(vec![span(1, 1)]).encode_to_vec());
        assert_eq!(sent.send().await.unwrap().status(), 200);
    }
}

#[tokio::test]
async fn token_of_the_environment_is_asked_for_at_every_port() {
    let folder = Folder::new();
    let serve = Serve::with(&folder.url(), &[], |command| {
        command.env("THROUGHLINE_API_TOKEN", "secret");
    });
    assert!(!serve.greeting.contains("secret"), "{}", serve.greeting);
    assert_eq!(reqwest::get(serve.api("/api/services")).await.unwrap().status(), 401);
    let sent = reqwest::Client::new().post(serve.otlp_http()).header("content-type", PROTOBUF);
    assert_eq!(sent.send().await.unwrap().status(), 401);
    // As the greeting says: the header of the exporter.
    let telemetry = Setup::new("planner")
        .environment([("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20secret")])
        .exporters([Exporter::Otlp])
        .otlp_endpoint(serve.otlp_grpc())
        .otlp_protocol(OtlpProtocol::Grpc)
        .local()
        .unwrap();
    send(&telemetry, 3);
    let report = tokio::task::spawn_blocking(move || telemetry.shutdown(FAR)).await.unwrap();
    assert!(report.is_complete(), "{report}");
}

/// Runs the program to its end.
fn run(arguments: &[&str]) -> (bool, String, String) {
    let output = command(arguments).output().expect("the program");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn nobody_is_let_in_from_other_machines_by_accident() {
    let folder = Folder::new();
    let (succeeded, _, told) =
        run(&["serve", "--database", &folder.url(), "--listen", "127.0.0.1:0", "--listen-http", "0.0.0.0:0"]);
    assert!(!succeeded);
    assert!(told.contains("THROUGHLINE_API_TOKEN") && told.contains("--insecure"), "{told}");
}

#[tokio::test]
async fn foreign_names_are_refused_on_loopback_and_taken_beyond() {
    let asked = async |serve: &Serve, name: &str| {
        let request = reqwest::Client::new().get(serve.api("/api/services")).header("host", name);
        request.send().await.unwrap().status().as_u16()
    };
    let folder = Folder::new();
    let serve = Serve::start(&folder.url(), &[]);
    assert_eq!((asked(&serve, "localhost").await, asked(&serve, "evil.example").await), (200, 403));
    let serve = Serve::start(&folder.url(), &["--insecure", "--listen-http", "0.0.0.0:0"]);
    assert!(serve.greeting.contains("EVERYBODY"), "{}", serve.greeting);
    assert_eq!(asked(&serve, "throughline:16690").await, 200);
    let names = ["--insecure", "--listen-http", "0.0.0.0:0", "--host", "traces.example"];
    let serve = Serve::start(&folder.url(), &names);
    assert_eq!((asked(&serve, "traces.example").await, asked(&serve, "evil.example").await), (200, 403));
}

#[test]
fn port_that_is_taken_is_told_with_the_flag() {
    let folder = Folder::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (succeeded, _, told) = run(&[
        "serve",
        "--database",
        &folder.url(),
        "--listen",
        "127.0.0.1:0",
        "--listen-http",
        "127.0.0.1:0",
        "--listen-grpc",
        &address,
    ]);
    assert!(!succeeded);
    assert!(told.contains(&address) && told.contains("--listen-grpc") && told.contains("`off`"), "{told}");
}

#[test]
fn migrate_makes_the_tables_or_prints_their_sql() {
    let folder = Folder::new();
    let url = folder.url();
    let (succeeded, sql, _) = run(&["migrate", "--database", &url, "--print-sql"]);
    assert!(succeeded && sql.to_lowercase().contains("create table execution_traces"), "{sql}");
    assert!(!folder.0.join("traces.db").exists(), "printing changes nothing");
    let (succeeded, told, _) = run(&["migrate", "--database", &url]);
    assert!(succeeded && told.contains("schema version"), "{told}");
    let health =
        async { store::open(StoreOptions::new(&url).auto_migrate(false)).unwrap().health().await.unwrap() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    assert!(runtime.block_on(health).schema > 0);

    let (succeeded, _, told) = run(&["migrate", "--database", "mysql://me:secret@db/x"]);
    assert!(!succeeded && told.contains("expected `postgres://") && !told.contains("secret"), "{told}");
}
