//! The examples that need nothing but themselves: they run, and print what they promise.

use std::process::Command;
use std::time::{Duration, Instant};

/// What the example prints.
fn run(name: &str) -> String {
    let mut program = Command::new(throughline_tests::examples::build(name));
    let begun = Instant::now();
    let output = program.env("RUST_LOG", "warn").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(begun.elapsed() < Duration::from_secs(120), "{name} waited for something that did not come");
    String::from_utf8(output.stdout).unwrap()
}

/// The lines with this text.
fn with<'o>(output: &'o str, text: &str) -> Vec<&'o str> {
    output.lines().filter(|line| line.contains(text)).collect()
}

#[test]
fn orders_shows_a_record_that_heals_and_one_that_dies() {
    let output = run("orders");
    assert_eq!(with(&output, "2 orders handled, 3 retries, 1 dead letter").len(), 1, "{output}");
    for expected in ["__dlq.errors.delivery.count: 3", "__dlq.errors.group: billing"] {
        assert_eq!(with(&output, expected).len(), 1, "{output}");
    }
    let (healed, dead) = output.split_once("\ntrace ").unwrap().1.split_once("\ntrace ").unwrap();
    let attempts = |trace: &str| with(trace, "─ process orders ").len();
    let errors = |trace: &str| with(trace, "─ process orders ").join("\n").matches("error:").count();
    assert_eq!((attempts(healed), errors(healed)), (2, 0), "{output}");
    assert_eq!((attempts(dead), errors(dead)), (3, 1), "{output}");
    // The dead letter is sent below the last attempt, and consumed in the same trace.
    assert_eq!(with(dead, "└─ send orders.dlq").len(), 1, "{output}");
    assert_eq!(with(dead, "└─ process orders.dlq").len(), 1, "{output}");
}

#[test]
fn batch_links_shows_one_span_with_a_link_to_each_sender() {
    let output = run("batch_links");
    let sent: Vec<_> =
        with(&output, "sent its reading").iter().filter_map(|line| line.split(' ').next_back()).collect();
    assert_eq!(sent.len(), 5, "{output}");
    let links = with(&output, "link to trace");
    for (trace, link) in sent.iter().zip(&links) {
        assert!(link.contains(trace), "{output}");
    }
    assert_eq!((links.len(), with(&output, "database.insert").len()), (5, 1), "{output}");
}
