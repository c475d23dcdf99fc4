//! The example `request_path`, judged by what an OTLP receiver got and not by what it says of itself.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::process::Output;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tokio::process::Command;

type Received = Arc<Mutex<Vec<ExportTraceServiceRequest>>>;

async fn receive(State(received): State<Received>, body: Bytes) -> Result<(), StatusCode> {
    let request = ExportTraceServiceRequest::decode(body).map_err(|_| StatusCode::BAD_REQUEST)?;
    received.lock().unwrap().push(request);
    Ok(())
}

struct Run {
    output: Output,
    /// By trace id: each span with the service that sent it.
    traces: HashMap<Vec<u8>, Vec<(String, Span)>>,
}

async fn run(arguments: &[&str]) -> Run {
    let received = Received::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let otlp = format!("http://{}", listener.local_addr().unwrap());
    let app = Router::new().route("/v1/traces", post(receive)).with_state(Arc::clone(&received));
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    let mut program = Command::new(throughline_tests::examples::build("request_path"));
    let program = program.args(["--otlp", &otlp]).args(arguments).kill_on_drop(true).output();
    let output = tokio::time::timeout(Duration::from_secs(120), program).await.unwrap().unwrap();
    server.abort();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let mut traces: HashMap<_, Vec<_>> = HashMap::new();
    for resource in received.lock().unwrap().drain(..).flat_map(|request| request.resource_spans) {
        let attributes = resource.resource.unwrap().attributes;
        let name = attributes.into_iter().find(|kv| kv.key == "service.name").unwrap().value.unwrap();
        let Some(opentelemetry_proto::tonic::common::v1::any_value::Value::StringValue(service)) = name.value
        else {
            panic!("service.name is no string")
        };
        for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            traces.entry(span.trace_id.clone()).or_default().push((service.clone(), span));
        }
    }
    Run { output, traces }
}

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// No span twice, none without its parent, and those of all three processes.
fn assert_whole(spans: &[(String, Span)]) {
    let mut ids = HashSet::new();
    for (_, span) in spans {
        assert!(ids.insert(&span.span_id), "{} came twice", span.name);
    }
    for (_, span) in spans {
        assert!(
            span.parent_span_id.is_empty() || ids.contains(&span.parent_span_id),
            "{} is an orphan",
            span.name
        );
    }
    let roots = spans.iter().filter(|(_, span)| span.parent_span_id.is_empty()).count();
    assert_eq!(roots, 1);
    let services: BTreeSet<_> = spans.iter().map(|(service, _)| service.as_str()).collect();
    assert_eq!(services, BTreeSet::from(["client", "gateway", "worker"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_requests_are_a_hundred_whole_traces() {
    let run = run(&["--requests", "100"]).await;
    assert_eq!(run.traces.len(), 100);
    let mut failed = 0;
    for spans in run.traces.values() {
        assert_whole(spans);
        assert_eq!(spans.len(), 7, "{spans:#?}");
        let is_error = |span: &Span| span.status.as_ref().is_some_and(|status| status.code == 2);
        failed +=
            usize::from(spans.iter().any(|(_, span)| span.name == "worker.charge_card" && is_error(span)));
    }
    assert_eq!(failed, 25, "every fourth card is declined");

    let (trees, log) =
        (String::from_utf8(run.output.stdout).unwrap(), String::from_utf8(run.output.stderr).unwrap());
    for trace in run.traces.keys().map(|id| hex(id)) {
        assert_eq!(trees.matches(&trace).count(), 1, "one tree per trace");
        let lines: Vec<_> = log.lines().filter(|line| line.contains(&trace)).collect();
        assert!(lines.iter().any(|line| line.contains("gateway")), "{trace} is not in the gateway's log");
        assert!(lines.iter().any(|line| line.contains("worker")), "{trace} is not in the worker's log");
    }
    assert_eq!(trees.matches("in the broker").count(), 100);
}

/// The first worker dies without any warning. What it had not committed is processed by the second, in the same trace;
/// what it had finished and not committed comes again, which is what at-least-once means.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_worker_leaves_no_message_without_its_trace() {
    let run = run(&["--requests", "60", "--kill-worker", "--json"]).await;
    assert_eq!(run.traces.len(), 60);
    for spans in run.traces.values() {
        // A part that the first worker had sent when it died may lack its parent; the rest is whole.
        let processed: Vec<_> = spans.iter().filter(|(_, span)| span.name == "process orders").collect();
        assert!(!processed.is_empty());
        let whole = processed.iter().any(|(_, process)| {
            let below = spans.iter().filter(|(_, span)| span.parent_span_id == process.span_id).count();
            let sent = spans.iter().any(|(_, span)| span.span_id == process.parent_span_id);
            below == 2 && sent
        });
        assert!(whole, "{spans:#?}");
        let of_others: Vec<_> = spans.iter().filter(|(service, _)| service != "worker").collect();
        assert_eq!(of_others.len(), 4);
    }
    let json = String::from_utf8(run.output.stdout).unwrap();
    let spans: usize = run.traces.values().map(Vec::len).sum();
    assert_eq!(
        json.lines().filter(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()).count(),
        spans
    );
}

/// What the database gives back over the REST API is what went over OTLP.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stored_trace_comes_back_over_the_rest_api() {
    let run = run(&["--requests", "8", "--json", "--store"]).await;
    let output = String::from_utf8(run.output.stdout).unwrap();
    let answer: serde_json::Value = serde_json::from_str(output.lines().last().unwrap()).unwrap();
    let stored = answer.as_array().unwrap();
    assert_eq!(stored.len(), 7, "{answer:#}");
    let trace = stored[0]["trace_id"].as_str().unwrap();
    let (_, sent) = run.traces.iter().find(|(id, _)| hex(id) == trace).unwrap();
    for (service, span) in sent {
        let id = hex(&span.span_id);
        let same = stored.iter().find(|stored| stored["span_id"] == *id).unwrap();
        assert_eq!(
            (&same["service_name"], &same["operation_name"]),
            (&(*service).clone().into(), &span.name.clone().into())
        );
        assert_eq!(same["start_ns"], span.start_time_unix_nano.to_string());
        let parent = same["parent_span_id"].as_str().unwrap_or_default();
        assert_eq!(parent, hex(&span.parent_span_id));
    }
    assert!(stored.iter().any(|span| span["error_type"] == "card_declined"), "one that failed is shown");
}
