//! Switched off, or without an exporter: nothing is recorded, propagation goes on.

use crate::process::run;

#[test]
fn switched_off_by_either_variable() {
    for variable in [("ENABLE_TRACING", "false"), ("ENABLE_TRACING", "0"), ("OTEL_SDK_DISABLED", "true")] {
        let ended = run("switched_off", &[variable]);
        assert_eq!(ended.spans(), [serde_json::Value::Null; 0], "{variable:?}");
    }
}

#[test]
fn a_broken_endpoint_is_no_error_when_switched_off() {
    run("switched_off", &[("ENABLE_TRACING", "false"), ("OTEL_EXPORTER_OTLP_ENDPOINT", "nonsense")]);
}

#[test]
fn without_an_exporter_ids_are_made_and_passed_on() {
    assert_eq!(run("exporter_none", &[("TRACING_EXPORTER", "none")]).names(), [""; 0]);
}
