//! Log lines carry the ids of the span that they were written in, whoever made it.

use serde_json::Value;

use crate::process::{Ended, run, text};

fn line<'l>(lines: &'l [Value], message: &str) -> &'l Value {
    let found = lines.iter().find(|line| line["fields"]["message"] == message);
    found.unwrap_or_else(|| panic!("no line `{message}` in {lines:?}"))
}

fn check(ended: &Ended, message: &str, span: &str) {
    let lines = ended.log_objects();
    let (line, span) = (line(&lines, message), ended.span(span));
    assert_eq!(text(line, "trace_id"), text(&span, "trace_id"), "{message}");
    assert_eq!(text(line, "span_id"), text(&span, "span_id"), "{message}");
    assert_eq!(text(line, "trace_flags"), "01", "{message}");
}

#[test]
fn json_lines_carry_the_ids() {
    let ended = run("log_lines", &[("THROUGHLINE_LOG_FORMAT", "json")]);
    check(&ended, "in ours", "ours");
    check(&ended, "in theirs", "theirs");
    check(&ended, "in bridged", "bridged");
    let lines = ended.log_objects();
    assert_eq!(line(&lines, "outside").get("trace_id"), None);
    let unsampled = line(&lines, "in unsampled");
    assert_eq!(text(unsampled, "trace_id"), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(text(unsampled, "trace_flags"), "00");
    // First in the line, where people and cheap parsers look.
    assert!(ended.stderr.lines().any(|line| line.starts_with("{\"trace_id\":\"")), "{}", ended.stderr);
}

#[test]
fn text_lines_begin_with_the_ids() {
    let ended = run("log_lines", &[]);
    for (message, span) in [("in ours", "ours"), ("in theirs", "theirs"), ("in bridged", "bridged")] {
        let span = ended.span(span);
        let prefix = format!(
            "trace_id={} span_id={} trace_flags=01 ",
            text(&span, "trace_id"),
            text(&span, "span_id")
        );
        let line = ended.stderr.lines().find(|line| line.ends_with(message)).expect("a line");
        assert!(line.starts_with(&prefix), "{line}");
    }
    let outside = ended.stderr.lines().find(|line| line.ends_with("outside")).expect("a line");
    assert!(!outside.contains("trace_id"), "{outside}");
}

#[test]
fn rust_log_decides_what_is_written_and_not_what_is_traced() {
    let ended = run("log_lines", &[("RUST_LOG", "error")]);
    assert_eq!(ended.stderr, "");
    assert_eq!(ended.names(), ["bridged", "ours", "theirs"]);
}

#[test]
fn subscriber_of_the_programs_own_layers_has_the_ids_too() {
    let ended = run("own_layers", &[]);
    let (bridged, ours) = (ended.span("bridged"), ended.span("ours"));
    assert_eq!(text(&ours, "parent_span_id"), text(&bridged, "span_id"));
    let prefix = format!("trace_id={} span_id={} ", text(&ours, "trace_id"), text(&ours, "span_id"));
    assert!(ended.stderr.lines().any(|line| line.starts_with(&prefix)), "{}", ended.stderr);
}
