//! The official suite, <https://github.com/w3c/trace-context>, against the adapter.

use std::net::TcpListener;
use std::process::Command;

use super::adapter::Adapter;

#[test]
fn the_official_suite_passes() {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let (Some(suite), Some(python)) = (set("THROUGHLINE_W3C_SUITE"), set("THROUGHLINE_TEST_PYTHON")) else {
        // No failure in CI, unlike that of other peers: the suite is in no package registry.
        let line = "skipped: the W3C suite (start it with tests/peers/w3c -- tests/peers/python)";
        let _ = std::io::Write::write_all(&mut std::io::stderr().lock(), format!("{line}\n").as_bytes());
        return;
    };
    let endpoint = Adapter::get().serve();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let mut command = Command::new(python);
    command.current_dir(suite).arg("test.py").arg(endpoint);
    command.envs([
        ("SPEC_LEVEL", "2"),
        ("STRICT_LEVEL", "2"),
        ("HARNESS_PORT", &port),
        ("HARNESS_TIMEOUT", "30"),
    ]);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let ran = said.lines().find(|line| line.starts_with("Ran ")).unwrap_or_default();
    println!("{ran}");
    assert!(!ran.starts_with("Ran 0"), "{said}");
}
