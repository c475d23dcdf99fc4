//! Tests that are alone in their process: what they set up is global.

use std::process::{Command, Stdio};
use std::time::Duration;

use throughline::export::memory::MemoryExporter;
use throughline::opentelemetry::Value;
use throughline::{Setup, Telemetry};

/// For what takes a moment unless something is broken.
pub(crate) const FAR: Duration = Duration::from_secs(60);

const INSIDE: &str = "PROMISES_TEST_IS_ALONE";

/// Defines tests, each of which runs in a process of its own.
macro_rules! alone {
    ($($(#[$attribute:meta])* fn $name:ident() $body:block)*) => {$(
        $(#[$attribute])*
        #[test]
        fn $name() {
            $crate::alone::run(concat!(module_path!(), "::", stringify!($name)), || $body);
        }
    )*};
}
pub(crate) use alone;

/// Runs the test here, if this process was started for it, or else starts such a process.
pub(crate) fn run(path: &str, test: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return test();
    }
    // Without the name of the crate.
    let name = path.split_once("::").map_or(path, |(_, name)| name);
    let mut command = Command::new(std::env::current_exe().expect("path of the test binary"));
    command.args(["--exact", "--nocapture", "--test-threads=1", name]).env(INSIDE, "1").stdin(Stdio::null());
    for (variable, _) in std::env::vars_os() {
        let variable = variable.to_string_lossy();
        if ["OTEL_", "TRACING_", "THROUGHLINE_"].iter().any(|prefix| variable.starts_with(prefix)) {
            command.env_remove(variable.as_ref());
        }
    }
    let output = command.output().expect("the process runs");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{name}: {}\n{out}\n{err}", output.status);
    assert!(out.contains("1 passed"), "no test `{name}`\n{out}");
}

/// A set-up that reads no environment and leaves `tracing` alone.
pub(crate) fn setup() -> Setup {
    Setup::new("promises").without_environment().subscriber(false).exporters([throughline::Exporter::None])
}

/// Installs it with an exporter that remembers.
pub(crate) fn install(setup: Setup) -> (Telemetry, MemoryExporter) {
    let kept = MemoryExporter::with_traces(100_000);
    let telemetry = setup.exporter(kept.clone()).install().expect("the only set-up of this process");
    (telemetry, kept)
}

pub(crate) type SpanData = opentelemetry_sdk::trace::SpanData;

/// The only span of that name.
pub(crate) fn named<'s>(spans: &'s [SpanData], name: &str) -> &'s SpanData {
    let mut found = spans.iter().filter(|span| span.name == name);
    let span = found.next().unwrap_or_else(|| panic!("no span {name} in {spans:?}"));
    assert!(found.next().is_none(), "two spans {name}");
    span
}

pub(crate) fn value(span: &SpanData, key: &str) -> Option<Value> {
    span.attributes.iter().find(|attribute| attribute.key.as_str() == key).map(|found| found.value.clone())
}
