//! Variables, then aliases, then code, then defaults.

use throughline::{Exporter, Setup, Source};

use crate::process::{run, text};

fn source(setup: &Setup, name: &str) -> (String, Source) {
    let config = setup.effective_config().expect("good settings");
    let setting = config.get(name).expect("a setting");
    (setting.value.clone(), setting.source)
}

fn setup() -> Setup {
    Setup::new("code").exporters([Exporter::None]).sample_ratio(0.5)
}

#[test]
fn variables_then_aliases_then_code_then_defaults() {
    let none: [(&str, &str); 0] = [];
    assert_eq!(
        source(&Setup::new("").environment(none), "exporters"),
        ("console".to_owned(), Source::Default)
    );
    assert_eq!(source(&setup().environment(none), "exporters"), ("none".to_owned(), Source::Code));
    let alias = setup().environment([("TRACING_EXPORTER", "console")]);
    assert_eq!(source(&alias, "exporters"), ("console".to_owned(), Source::Variable("TRACING_EXPORTER")));
    let both = setup().environment([("TRACING_EXPORTER", "console"), ("OTEL_TRACES_EXPORTER", "otlp")]);
    assert_eq!(source(&both, "exporters"), ("otlp".to_owned(), Source::Variable("OTEL_TRACES_EXPORTER")));
}

#[test]
fn without_environment_only_code_counts() {
    let setup = setup().environment([("TRACING_EXPORTER", "otpl")]).without_environment();
    assert_eq!(source(&setup, "exporters"), ("none".to_owned(), Source::Code));
}

#[test]
fn sampler_in_code_yields_to_the_variable() {
    let sampled = run("sampled_by_variable", &[]);
    assert_eq!(sampled.names(), ["work"]);
    let off = run("sampled_by_variable", &[("OTEL_TRACES_SAMPLER", "always_off")]);
    assert_eq!(off.names(), [""; 0]);
}

#[test]
fn the_environment_of_the_process_is_read() {
    let ended = run(
        "guard_is_dropped",
        &[
            ("OTEL_SERVICE_NAME", "renamed"),
            ("OTEL_RESOURCE_ATTRIBUTES", "team=a%2Cb"),
            ("ENVIRONMENT", "test"),
        ],
    );
    let span = ended.span("work");
    assert_eq!(text(&span, "service_name"), "renamed");
    assert_eq!(span["resource"]["team"], "a,b");
    assert_eq!(span["resource"]["deployment.environment.name"], "test");
}

#[test]
fn effective_config_shows_no_secret() {
    let setup = Setup::new("s").environment([
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://me:hunter2@collector:4318"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20hunter2"),
    ]);
    let config = setup.effective_config().expect("good settings").to_string();
    assert!(!config.contains("hunter2"), "{config}");
    assert!(config.contains("otlp.endpoint = http://REDACTED:REDACTED@collector:4318/v1/traces"), "{config}");
    assert!(config.contains("otlp.headers = authorization=REDACTED"), "{config}");
}
