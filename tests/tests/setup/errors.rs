//! Wrong settings: an error where traces would be lost in silence, else a warning; each names variable, value, and what
//! is accepted.

use throughline::{Setup, SetupError};

use crate::process::run;

fn errors(variables: &[(&str, &str)]) -> String {
    let setup = Setup::new("s").environment(variables.iter().copied());
    setup.effective_config().expect_err("an error").to_string()
}

fn warnings(variables: &[(&str, &str)]) -> Vec<String> {
    let setup = Setup::new("s").environment(variables.iter().copied());
    let config = setup.effective_config().expect("no error");
    config.warnings().iter().map(ToString::to_string).collect()
}

#[test]
fn unknown_exporter() {
    let error = errors(&[("TRACING_EXPORTER", "otpl")]);
    assert!(error.starts_with("TRACING_EXPORTER is `otpl`; expected `console`, `otlp`,"), "{error}");
}

#[test]
fn exporter_list_without_a_name() {
    let error = errors(&[("TRACING_EXPORTER", " , ")]);
    assert!(error.contains("expected `console`, `otlp`,"), "{error}");
}

/// The switch is what one reaches for when something else about tracing is wrong.
#[test]
fn switched_off_works_with_a_wrong_exporter() {
    let warnings = warnings(&[("ENABLE_TRACING", "false"), ("TRACING_EXPORTER", "otpl")]);
    assert!(
        matches!(&warnings[..], [one] if one.starts_with("TRACING_EXPORTER is `otpl`; expected `console`,"))
    );
}

/// `main` shows an error that it returns by `Debug`.
#[test]
fn error_returned_from_main_reads_like_its_message() {
    let setup = Setup::new("s").environment([("TRACING_EXPORTER", "otpl")]);
    let error = setup.effective_config().expect_err("an error");
    assert_eq!(format!("{error:?}"), error.to_string());
}

#[test]
fn malformed_endpoints() {
    for variable in [
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "TRACING_OTLP_ENDPOINT",
        "JAEGER_OTLP_ENDPOINT",
    ] {
        let error = errors(&[(variable, "http://collector:port")]);
        assert_eq!(
            error,
            format!("{variable} is `http://collector:port`; expected a URL such as `http://localhost:4318`")
        );
    }
}

#[test]
fn every_variable_with_a_wrong_value_is_told() {
    for (variable, value, accepted) in [
        ("OTEL_TRACES_SAMPLER", "sometimes", "`always_on`"),
        ("OTEL_PROPAGATORS", "xray", "`tracecontext`"),
        ("OTEL_BSP_SCHEDULE_DELAY", "0", "milliseconds"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "-1", "above 0"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "many", "above 0"),
        ("OTEL_BSP_EXPORT_TIMEOUT", "1.5", "milliseconds"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "-1", "from 0"),
        ("OTEL_SPAN_EVENT_COUNT_LIMIT", "x", "from 0"),
        ("OTEL_SPAN_LINK_COUNT_LIMIT", "x", "from 0"),
        ("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "x", "from 0"),
        ("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", "x", "from 0"),
        ("OTEL_ATTRIBUTE_COUNT_LIMIT", "x", "from 0"),
        ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "x", "from 0"),
        ("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "x", "from 0"),
        ("OTEL_SDK_DISABLED", "1", "`true`"),
        ("ENABLE_TRACING", "perhaps", "`true`"),
        ("OTEL_LOG_LEVEL", "loud", "`warn`"),
        ("THROUGHLINE_QUEUE_BYTES", "1", "64KiB"),
        ("THROUGHLINE_SHUTDOWN_TIMEOUT", "5", "`5s`"),
        ("THROUGHLINE_CONSOLE_FORMAT", "xml", "`tree`"),
        ("THROUGHLINE_LOG_FORMAT", "xml", "`json`"),
    ] {
        let warnings = warnings(&[(variable, value)]);
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        let warning = &warnings[0];
        for part in [variable, value, accepted] {
            assert!(warning.contains(part), "`{part}` in: {warning}");
        }
    }
}

#[test]
fn every_otlp_variable_with_a_wrong_value_is_told() {
    let otlp = ("TRACING_EXPORTER", "otlp");
    for (variable, value) in [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "thrift"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "0"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zip"),
    ] {
        let warnings = warnings(&[otlp, (variable, value)]);
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(
            warnings[0].starts_with(&format!("{variable} is `{value}`; expected `"))
                || warnings[0].contains("milliseconds"),
            "{warnings:?}"
        );
    }
    let headers = warnings(&[otlp, ("OTEL_EXPORTER_OTLP_HEADERS", "no-equals-sign")]);
    assert_eq!(headers, ["OTEL_EXPORTER_OTLP_HEADERS entry 1 is left out; expected `name=value`"]);
}

#[test]
fn ratio_out_of_range() {
    let variables = [("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "1.5")];
    assert_eq!(
        warnings(&variables),
        ["OTEL_TRACES_SAMPLER_ARG is `1.5`; expected a number from 0 to 1; it is treated as unset"]
    );
}

#[test]
fn broken_resource_attributes() {
    let warnings = warnings(&[("OTEL_RESOURCE_ATTRIBUTES", "team=a,tier")]);
    assert_eq!(
        warnings,
        ["OTEL_RESOURCE_ATTRIBUTES is discarded as a whole; expected `key=value` in entry 2"]
    );
}

#[test]
fn strict_makes_errors_of_warnings() {
    let setup = Setup::new("s").environment([("OTEL_PROPAGATORS", "xray")]).strict(true);
    let error = setup.effective_config().expect_err("an error");
    assert!(matches!(&error, SetupError::Strict { warnings } if warnings.len() == 1));
    assert!(error.to_string().contains("OTEL_PROPAGATORS names `xray`"), "{error}");
}

#[test]
fn warnings_are_said_when_tracing_is_set_up() {
    let ended = run("guard_is_dropped", &[("OTEL_TRACES_SAMPLER", "sometimes")]);
    assert!(ended.stderr.contains("OTEL_TRACES_SAMPLER is `sometimes`; expected"), "{}", ended.stderr);
    assert_eq!(ended.names(), ["work"]);
}
