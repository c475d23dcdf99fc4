//! What the documents say about the tests.

use std::path::Path;

/// A "yes" of ours in the comparison names the test that shows it; renaming one must not leave the claim alone.
#[test]
fn every_test_that_the_comparison_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("../runtime/docs/kafka_comparison.md")).unwrap();
    let mut named = 0;
    for row in page.lines().filter(|line| line.contains("| yes: ")) {
        let ours = row.split("| yes: ").nth(1).unwrap();
        let tests: Vec<_> = ours.split('`').skip(1).step_by(2).collect();
        assert!(!tests.is_empty(), "no test in: {row}");
        for test in tests {
            let (file, function) =
                test.split_once("::").unwrap_or_else(|| panic!("`{test}` is no FILE::TEST"));
            let source = std::fs::read_to_string(root.join("tests").join(file))
                .unwrap_or_else(|error| panic!("tests/tests/{file}: {error}"));
            let declared = source.lines().any(|line| {
                line.trim_start().trim_start_matches("async ").starts_with(&format!("fn {function}("))
            });
            assert!(declared, "tests/tests/{file} has no `fn {function}`");
            named += 1;
        }
    }
    assert!(named > 30, "only {named} tests are named");
}
