//! Somebody else's fuzzer, led by the OpenAPI document. `tests/peers/schemathesis -- COMMAND` brings it.

use std::process::Stdio;
use std::time::Duration;

use opentelemetry::trace::SpanKind;
use throughline::api::ApiOptions;
use throughline_tests::peers;
use throughline_tests::store::{Fixture, Folder, begin, ms, rows, span};

use crate::support::{Server, hex};

crate::on_both!(fuzzer_finds_no_server_error_and_no_answer_beside_the_document);

const PROGRAM: &str = "THROUGHLINE_TEST_SCHEMATHESIS";

/// How long each of the two runs lasts, in seconds; another number for a long one.
const SECONDS: &str = "THROUGHLINE_TEST_FUZZ_SECONDS";

async fn fill(f: &Fixture) {
    let kinds = [SpanKind::Server, SpanKind::Client, SpanKind::Internal];
    let spans = (1..=100_u128).flat_map(|trace| {
        let kinds = &kinds;
        (1..=4_u64).map(move |id| {
            let number = usize::try_from(trace).unwrap() + usize::try_from(id).unwrap();
            let made = span(trace, id, id - 1, begin() + ms(id * 3))
                .service(["shop", "bank", "\u{202e}höf \"x\""][number % 3])
                .name(["GET /", "charge", "' or 1=1; --"][number % 3])
                .kind(kinds[number % 3].clone())
                .lasts(ms(id * 7))
                .attribute("task_id", format!("t-{trace}"))
                .attribute("x", f64::NAN);
            if number.is_multiple_of(5) { made.fails("timeout") } else { made }
        })
    });
    f.store.write(rows(spans)).await.unwrap();
}

async fn fuzzer_finds_no_server_error_and_no_answer_beside_the_document(f: Fixture) {
    let Ok(program) = std::env::var(PROGRAM) else {
        peers::skip("Schemathesis", "schemathesis");
        return;
    };
    fill(&f).await;
    // The live tail would never end: it has no place for anybody.
    let server = Server::with(&f.store, ApiOptions::new().max_tails(0)).await;
    let folder = Folder::new();
    let seconds: u64 = std::env::var(SECONDS).map_or(12, |seconds| seconds.parse().unwrap());
    // Once with ids that come as they may, once with one that is there.
    for settings in ["", &format!("[parameters]\n\"path.trace_id\" = \"{}\"\n", hex(7))] {
        let file = folder.0.join("schemathesis.toml");
        std::fs::write(&file, settings).unwrap();
        let mut run = tokio::process::Command::new(&program);
        run.arg("--config-file").arg(&file).arg("run").args(["--max-time", &seconds.to_string()]);
        if !settings.is_empty() {
            run.args(["--include-path-regex", "trace_id"]);
        }
        run.args(["--checks", "all", "--max-failures", "20", "--no-shrink", "--warnings", "off"]);
        run.args(["--generation-database", "none", "--seed", "17"]);
        run.arg(format!("{}/api/openapi.json", server.base)).current_dir(&folder.0).kill_on_drop(true);
        run.stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = tokio::time::timeout(Duration::from_secs(seconds * 3 + 120), run.output()).await;
        let output = output.expect("it ends").unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        assert!(text.contains("generated"), "it did nothing: {text}");
    }
    let health = server.get("/health").await.json();
    assert_eq!((&health["status"], &health["counters"]["queries_failed"]), (&"healthy".into(), &0.into()));
}
