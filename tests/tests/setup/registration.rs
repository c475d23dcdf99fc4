//! Globals are registered once, and everybody's spans arrive.

use crate::process::{run, text};

#[test]
fn second_setup_is_an_error() {
    assert_eq!(run("second_setup", &[]).names(), ["work"]);
}

#[test]
fn of_setups_at_once_one_succeeds() {
    run("eight_setups_at_once", &[]);
}

#[test]
fn local_setup_touches_no_globals() {
    run("local_touches_nothing", &[]);
}

#[test]
fn program_with_only_opentelemetry_exports_through_us() {
    let ended = run("only_opentelemetry", &[]);
    assert_eq!(ended.names(), ["inner", "outer"]);
    let (outer, inner) = (ended.span("outer"), ended.span("inner"));
    assert_eq!(text(&inner, "parent_span_id"), text(&outer, "span_id"));
    assert_eq!(text(&outer, "service_name"), "service");
}

#[test]
fn program_with_only_tracing_exports_through_us() {
    let ended = run("only_tracing", &[]);
    assert_eq!(ended.names(), ["inner", "outer"]);
    let (outer, inner) = (ended.span("outer"), ended.span("inner"));
    assert_eq!(text(&inner, "parent_span_id"), text(&outer, "span_id"));
    assert_eq!(outer["attributes"]["answer"], 42);
}

#[test]
fn subscriber_that_is_there_stays() {
    let ended = run("own_subscriber_stays", &[]);
    assert!(ended.stdout.contains("tracing.subscriber = the program's own"), "{}", ended.stdout);
    assert_eq!(ended.names(), ["work"]);
    assert!(ended.stderr.contains("tracing is set up: service.name=service"), "{}", ended.stderr);
}
