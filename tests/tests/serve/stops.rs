//! What was acknowledged is stored, however the program or its store ends.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use opentelemetry::trace::TraceId;
use prost::Message as _;
use throughline::store::{self, StoreOptions};
use throughline::{Exporter, OtlpProtocol, Setup, Telemetry};
use throughline_tests::peers::OwnPostgres;
use throughline_tests::program::Serve;
use throughline_tests::store::Folder;
use tokio::task::JoinSet;

use crate::program::send;
use crate::support::{PROTOBUF, request, span};

const FAR: Duration = Duration::from_secs(120);

/// Sends spans of a trace, three a request, until one is not acknowledged; the ids of those that were.
async fn acknowledged(url: String, trace: u128, count: Arc<AtomicUsize>) -> Vec<u64> {
    let client = reqwest::Client::new();
    let mut acknowledged = Vec::new();
    for number in 0.. {
        let ids = [3 * number + 1, 3 * number + 2, 3 * number + 3];
        let body = request(ids.iter().map(|id| span(trace, *id)).collect()).encode_to_vec();
        let sent = client.post(&url).header("content-type", PROTOBUF).body(body).send().await;
        match sent {
            Ok(answer) if answer.status() == 200 => acknowledged.extend(ids),
            _ => break,
        }
        count.fetch_add(1, Ordering::Relaxed);
    }
    acknowledged
}

/// Ends the program in the middle of eight senders' work.
async fn nothing_acknowledged_is_lost(signal: &str) -> std::process::ExitStatus {
    let folder = Folder::new();
    let mut serve = Serve::start(&folder.url(), &[]);
    let count = Arc::new(AtomicUsize::new(0));
    let mut senders = JoinSet::new();
    for trace in 1..=8 {
        let work = acknowledged(serve.otlp_http().to_owned(), trace, Arc::clone(&count));
        senders.spawn(async move { (trace, work.await) });
    }
    while count.load(Ordering::Relaxed) < 200 {
        tokio::task::yield_now().await;
    }
    serve.signal(signal);
    let told = senders.join_all().await;
    let status = tokio::task::spawn_blocking(move || serve.wait()).await.unwrap();
    let store = store::open(StoreOptions::new(folder.url())).unwrap();
    for (trace, ids) in told {
        let stored = store.spans(TraceId::from(trace), None, 1_000_000).await.unwrap();
        let stored: HashSet<u64> =
            stored.iter().map(|span| u64::from_be_bytes(span.span_id.to_bytes())).collect();
        assert!(!ids.is_empty());
        assert!(ids.iter().all(|id| stored.contains(id)), "{signal}: trace {trace} lacks acknowledged spans");
    }
    status
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_under_load_loses_nothing_acknowledged() {
    assert!(nothing_acknowledged_is_lost("TERM").await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn sigkill_under_load_loses_nothing_acknowledged() {
    assert!(!nothing_acknowledged_is_lost("KILL").await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_kept_open_do_not_keep_the_program() {
    let folder = Folder::new();
    let mut serve = Serve::start(&folder.url(), &[]);
    let client = reqwest::Client::new();
    assert_eq!(client.get(serve.api("/health")).send().await.unwrap().status(), 200);
    let grpc = tonic::transport::Endpoint::from_shared(serve.otlp_grpc().to_owned()).unwrap();
    let channel = grpc.connect().await.unwrap();
    let silent = tokio::net::TcpStream::connect(serve.otlp_http().split('/').nth(2).unwrap()).await.unwrap();
    let mut tail = client.get(serve.api("/api/traces/stream")).send().await.unwrap();
    serve.signal("INT");
    while tail.chunk().await.expect("its end is no error").is_some() {}
    let status = tokio::task::spawn_blocking(move || serve.wait()).await.unwrap();
    assert!(status.success(), "{status}");
    drop((client, channel, silent));
}

fn exporter(url: &str, protocol: OtlpProtocol) -> Telemetry {
    Setup::new("planner")
        .without_environment()
        .exporters([Exporter::Otlp])
        .otlp_endpoint(url)
        .otlp_protocol(protocol)
        .otlp_timeout(FAR)
        .batch_size(50)
        .schedule_delay(Duration::from_millis(10))
        .local()
        .unwrap()
}

/// Spans sent while the store is away, over both transports: they are tried again, and stored once.
async fn spans_survive(serve: &Serve, url: &str, back: impl FnOnce()) {
    let telemetries = [
        exporter(serve.otlp_http(), OtlpProtocol::HttpProtobuf),
        exporter(serve.otlp_grpc(), OtlpProtocol::Grpc),
    ];
    let mut sent = Vec::new();
    for telemetry in &telemetries {
        sent.extend(send(telemetry, 300));
    }
    for telemetry in &telemetries {
        let error = loop {
            match telemetry.health().exporters[0].last_error.clone() {
                Some(error) => break error,
                None => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        // A batch that waits behind another one may be given up before its own turn ends.
        let told = ["the store cannot be used now", "the store does not answer"];
        assert!(told.iter().any(|told| error.contains(told)), "{error}");
    }
    back();
    for telemetry in telemetries {
        let report = tokio::task::spawn_blocking(move || telemetry.shutdown(FAR)).await.unwrap();
        assert!(report.is_complete(), "{report}");
        assert_eq!(report.exporters[0].exported, 300, "{report}");
    }
    let store = store::open(StoreOptions::new(url)).unwrap();
    for trace in sent {
        assert_eq!(store.spans(trace, None, 10).await.unwrap().len(), 1, "{trace}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn locked_file_is_503_and_what_was_sent_meanwhile_is_stored_once() {
    let folder = Folder::new();
    let serve = Serve::start(&folder.url(), &[]);
    let path = folder.0.join("traces.db");
    let lock = rusqlite::Connection::open(path).unwrap();
    lock.busy_timeout(Duration::from_secs(30)).unwrap();
    lock.execute_batch("begin immediate").unwrap();
    spans_survive(&serve, &folder.url(), move || lock.execute_batch("rollback").unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_that_is_stopped_and_back_has_every_span_once() {
    let Some(mut postgres) = tokio::task::spawn_blocking(OwnPostgres::start).await.unwrap() else { return };
    let url = postgres.address().to_owned();
    let serve = Serve::start(&url, &[]);
    postgres.stop();
    spans_survive(&serve, &url, || postgres.restart()).await;
}
