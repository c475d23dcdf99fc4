//! OpenTelemetry's Python SDK sends to the program: `tests/peers/python -- cargo test --test serve python`.

use std::process::Command;

use serde_json::Value as Json;
use throughline_tests::peers;
use throughline_tests::program::Serve;
use throughline_tests::store::Folder;

use crate::program::get;

/// Runs `tests/peers/otlp.py`; `None` where there is no Python with the SDK.
fn python(arguments: &[&str]) -> Option<Json> {
    let Some(python) = std::env::var_os("THROUGHLINE_TEST_PYTHON") else {
        peers::skip("OpenTelemetry's Python SDK", "python");
        return None;
    };
    let output = Command::new(python).arg(peers::script("otlp.py")).args(arguments).output().expect("python");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

async fn spans_come_back(protocol: &str) {
    let folder = Folder::new();
    let serve = Serve::start(&folder.url(), &[]);
    let url = if protocol == "grpc" { serve.otlp_grpc() } else { serve.otlp_http() };
    for compression in ["none", "gzip"] {
        let Some(sent) = python(&[protocol, url, compression]) else { return };
        let trace = sent["trace_id"].as_str().unwrap();
        let spans = get(&serve.api(&format!("/api/traces/{trace}/spans"))).await;
        let span = |name: &str| {
            let found = spans.as_array().unwrap().iter().find(|span| span["operation_name"] == name);
            found.unwrap_or_else(|| panic!("no {name} in {spans}")).clone()
        };
        assert_eq!(spans.as_array().unwrap().len(), 2);
        let (plan, step) = (span("planning.generate_plan"), span("execution.execute_step"));
        assert_eq!(plan["service_name"], "python-planner");
        assert_eq!((&plan["kind"], &plan["task_id"]), (&"server".into(), &"t-17".into()));
        assert_eq!(plan["parent_span_id"], Json::Null);
        assert_eq!(plan["attributes"]["ratio"], 2.0);
        assert_eq!(plan["attributes"]["list"], serde_json::json!(["a", "b"]));
        assert_eq!(step["parent_span_id"], plan["span_id"]);
        assert_eq!((&step["status"], &step["error_type"]), (&"error".into(), &"ValueError".into()));
        assert_eq!(step["error_message"], "ValueError: no such step");
        assert_eq!(step["events"][0]["name"], "exception");
        assert_eq!(step["start_ns"], sent["start_ns"]);
        let list = get(&serve.api("/api/traces/?task_id=t-17&service=python-planner")).await;
        assert!(list["traces"].as_array().unwrap().iter().any(|found| found["trace_id"] == trace));
    }
}

#[tokio::test]
async fn spans_of_the_python_sdk_come_back_over_http() {
    spans_come_back("http").await;
}

#[tokio::test]
async fn spans_of_the_python_sdk_come_back_over_grpc() {
    spans_come_back("grpc").await;
}
