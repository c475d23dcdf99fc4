use super::*;
use crate::setup::environment::Environment;

/// Endpoint, protocol and number of warnings; or the error's text.
fn read(variables: &[(&str, &str)], given: &OtlpGiven) -> Result<(String, OtlpProtocol, usize), String> {
    let (settings, warnings) = settings(variables, given)?;
    Ok((settings.endpoint.url(), settings.protocol, warnings.len()))
}

fn settings(variables: &[(&str, &str)], given: &OtlpGiven) -> Result<(OtlpSettings, Vec<String>), String> {
    let environment =
        Environment::Fixed(variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect());
    let mut resolver = Resolver::new(&environment);
    let settings = resolve(&mut resolver, given, Dialect::Plain).map_err(|error| error.to_string())?;
    Ok((settings, resolver.config.warnings().iter().map(ToString::to_string).collect()))
}

fn url(variables: &[(&str, &str)]) -> String {
    read(variables, &OtlpGiven::default()).unwrap().0
}

#[test]
fn default_is_the_local_collector_over_http() {
    assert_eq!(
        read(&[], &OtlpGiven::default()).unwrap(),
        ("http://localhost:4318/v1/traces".to_owned(), OtlpProtocol::HttpProtobuf, 0)
    );
}

#[test]
fn base_endpoint_gets_the_path_and_the_traces_endpoint_does_not() {
    assert_eq!(url(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318")]), "http://c:4318/v1/traces");
    assert_eq!(
        url(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318/otlp/")]),
        "http://c:4318/otlp/v1/traces"
    );
    assert_eq!(url(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c:4318/x")]), "http://c:4318/x");
    assert_eq!(
        url(&[
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://t:1/x"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:2")
        ]),
        "http://t:1/x"
    );
}

#[test]
fn alias_is_completed_with_a_warning() {
    let alias = |text: &'static str| read(&[("TRACING_OTLP_ENDPOINT", text)], &OtlpGiven::default()).unwrap();
    assert_eq!(alias("http://c:4318/v1/traces").2, 0);
    assert_eq!(alias("http://c:4318"), ("http://c:4318/v1/traces".to_owned(), OtlpProtocol::HttpProtobuf, 1));
}

#[test]
fn code_ranks_below_variables() {
    let given = OtlpGiven { endpoint: Some("http://code:1/x".to_owned()), ..OtlpGiven::default() };
    assert_eq!(read(&[], &given).unwrap().0, "http://code:1/x");
    assert_eq!(read(&[("TRACING_OTLP_ENDPOINT", "http://env:1/y")], &given).unwrap().0, "http://env:1/y");
}

#[cfg(feature = "otlp-grpc")]
#[test]
fn port_4317_of_the_alias_and_the_alias_for_jaeger_mean_grpc() {
    let read = |name: &'static str, text: &'static str| read(&[(name, text)], &OtlpGiven::default()).unwrap();
    assert_eq!(
        read("TRACING_OTLP_ENDPOINT", "http://c:4317"),
        ("http://c:4317".to_owned(), OtlpProtocol::Grpc, 1)
    );
    assert_eq!(
        read("JAEGER_OTLP_ENDPOINT", "http://jaeger:4317"),
        ("http://jaeger:4317".to_owned(), OtlpProtocol::Grpc, 0)
    );
    assert_eq!(read("JAEGER_OTLP_ENDPOINT", "jaeger:4317").0, "http://jaeger:4317");
}

#[cfg(feature = "otlp-grpc")]
#[test]
fn grpc_without_scheme_is_https_unless_insecure() {
    let base = [("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"), ("OTEL_EXPORTER_OTLP_ENDPOINT", "c:4317")];
    let insecure = [base[0], base[1], ("OTEL_EXPORTER_OTLP_INSECURE", "true")];
    assert_eq!(url(&insecure), "http://c:4317");
    let secure = read(&base, &OtlpGiven::default());
    if cfg!(feature = "otlp-tls") {
        assert_eq!(secure.unwrap().0, "https://c:4317");
    } else {
        assert!(secure.unwrap_err().contains("feature `otlp-tls`"));
    }
}

#[test]
fn malformed_endpoint_is_an_error_with_variable_value_and_example() {
    let error =
        read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318")], &OtlpGiven::default()).unwrap_err();
    assert_eq!(
        error,
        "OTEL_EXPORTER_OTLP_ENDPOINT is `collector:4318`; expected a URL such as `http://localhost:4318`"
    );
}

#[test]
fn errors_do_not_contain_secrets() {
    let error = read(
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", "htp://me:hunter2@c:4318?key=hunter2")],
        &OtlpGiven::default(),
    );
    assert!(!error.unwrap_err().contains("hunter2"));
}

#[test]
fn headers_are_read_and_not_shown() {
    let variables = [
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=hunter2,broken"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "2500"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://me:hunter2@c:4318"),
    ];
    let (settings, warnings) = settings(&variables, &OtlpGiven::default()).unwrap();
    assert_eq!(settings.headers, [("authorization".to_owned(), "hunter2".to_owned())]);
    assert_eq!(settings.timeout, Duration::from_millis(2500));
    assert_eq!(warnings, ["OTEL_EXPORTER_OTLP_HEADERS entry 2 is left out; expected `name=value`"]);
    assert!(!format!("{settings:?}").contains("hunter2"));
}

#[test]
fn specific_headers_replace_the_general_ones() {
    let variables = [("OTEL_EXPORTER_OTLP_HEADERS", "a=1"), ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "b=2")];
    assert_eq!(
        settings(&variables, &OtlpGiven::default()).unwrap().0.headers,
        [("b".to_owned(), "2".to_owned())]
    );
}

#[cfg(feature = "otlp-tls")]
#[test]
fn certificate_that_cannot_be_read_is_an_error() {
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://c:4318"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nonexistent/ca.pem"),
    ];
    let error = read(&variables, &OtlpGiven::default()).unwrap_err();
    assert!(
        error.starts_with("OTEL_EXPORTER_OTLP_CERTIFICATE names the file `/nonexistent/ca.pem`"),
        "{error}"
    );
}

#[test]
fn certificate_for_http_is_a_warning() {
    let variables = [("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nonexistent/ca.pem")];
    assert_eq!(read(&variables, &OtlpGiven::default()).unwrap().2, 1);
}

#[cfg(not(feature = "otlp-tls"))]
#[test]
fn https_without_the_feature_is_an_error() {
    let error =
        read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "https://c:4318")], &OtlpGiven::default()).unwrap_err();
    assert!(error.contains("feature `otlp-tls`"), "{error}");
}
