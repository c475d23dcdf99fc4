//! The programs of `examples/`, for tests that run them.

use std::path::PathBuf;
use std::process::Command;

/// Builds an example, with the features that the workspace has, and gives its path. It is there already when the
/// whole workspace is tested.
///
/// # Panics
///
/// If it does not build.
pub fn build(name: &str) -> PathBuf {
    let arguments = ["build", "--quiet", "--workspace", "--message-format=json", "--example", name];
    let output = Command::new(env!("CARGO")).args(arguments).output().expect("cargo");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let messages = String::from_utf8_lossy(&output.stdout);
    let built = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut executables = built.filter_map(|message| Some(PathBuf::from(message["executable"].as_str()?)));
    executables.next_back().expect("an executable")
}
