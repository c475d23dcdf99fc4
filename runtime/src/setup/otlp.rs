//! The settings of the OTLP exporter: `OTEL_EXPORTER_OTLP_*`, the specific variable before the general one, and the
//! aliases.

use std::fmt;
use std::fs;
use std::time::Duration;

use super::choice::{self, Dialect, OtlpProtocol};
use super::effective::{Resolver, Source};
use super::endpoint::{self, Endpoint};
use super::error::SetupError;
use super::parse;

const PATH: &str = "/v1/traces";
const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const BASE_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const ALIAS_ENDPOINT: &str = "TRACING_OTLP_ENDPOINT";
const JAEGER_ENDPOINT: &str = "JAEGER_OTLP_ENDPOINT";
const ZIPKIN_ENDPOINT: &str = "OTEL_EXPORTER_ZIPKIN_ENDPOINT";

/// Per attempt, by the specification of the OTLP exporter.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// Everything that the OTLP exporter needs to know, read once and passed explicitly.
#[derive(Clone)]
#[cfg_attr(not(feature = "otlp"), allow(dead_code))] // refused in such a build, hence never read
pub(crate) struct OtlpSettings {
    /// Where to: over HTTP the full URL, over gRPC scheme, host and port.
    pub(crate) endpoint: Endpoint,
    pub(crate) protocol: OtlpProtocol,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// For one attempt.
    pub(crate) timeout: Duration,
    pub(crate) gzip: bool,
    /// PEM of the authorities to trust instead of the system's.
    pub(crate) certificate: Option<Vec<u8>>,
    /// PEM of our own certificate and key.
    pub(crate) client_identity: Option<(Vec<u8>, Vec<u8>)>,
}

impl fmt::Debug for OtlpSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("OtlpSettings")
            .field("endpoint", &self.endpoint)
            .field("protocol", &self.protocol)
            .field("headers", &names)
            .field("timeout", &self.timeout)
            .field("gzip", &self.gzip)
            .finish_non_exhaustive()
    }
}

/// What `Setup` was told about OTLP in code.
#[derive(Clone, Default)]
pub(crate) struct OtlpGiven {
    pub(crate) endpoint: Option<String>,
    pub(crate) protocol: Option<OtlpProtocol>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) timeout: Option<Duration>,
}

/// Whether anybody said where OTLP should go, which makes `otlp` the exporter when none is named.
pub(super) fn endpoint_is_set(resolver: &Resolver<'_>, given: &OtlpGiven) -> bool {
    let variables = [TRACES_ENDPOINT, BASE_ENDPOINT, ALIAS_ENDPOINT, JAEGER_ENDPOINT];
    given.endpoint.is_some() || variables.iter().any(|name| resolver.environment.text(name).is_some())
}

/// Reads all of it. Called only when the exporter is wanted, so that a broken endpoint of no use is no error.
pub(super) fn resolve(
    resolver: &mut Resolver<'_>,
    given: &OtlpGiven,
    dialect: Dialect,
) -> Result<OtlpSettings, SetupError> {
    let (endpoint, protocol, setting) = endpoint_and_protocol(resolver, given, dialect)?;
    if protocol == OtlpProtocol::Grpc && !cfg!(feature = "otlp-grpc") {
        return Err(missing(
            &setting,
            "OTLP over gRPC",
            "otlp-grpc",
            "; or set OTEL_EXPORTER_OTLP_PROTOCOL to `http/protobuf`",
        ));
    }
    if endpoint.is_secure() && !cfg!(feature = "otlp-tls") {
        return Err(missing(
            &setting,
            "https",
            "otlp-tls",
            "; or write `http://` for a connection without encryption",
        ));
    }
    let headers = headers(resolver, given);
    let timeout = resolver.setting(
        "otlp.timeout",
        &[
            ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", parse::milliseconds),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", parse::milliseconds),
        ],
        given.timeout.filter(|timeout| !timeout.is_zero()),
        DEFAULT_TIMEOUT,
        |timeout| format!("{timeout:?}"),
    );
    let gzip = compression(resolver);
    let (certificate, client_identity) = certificates(resolver, &endpoint)?;
    Ok(OtlpSettings { endpoint, protocol, headers, timeout, gzip, certificate, client_identity })
}

fn missing(setting: &str, what: &str, feature: &'static str, instead: &'static str) -> SetupError {
    SetupError::FeatureMissing { setting: setting.to_owned(), what: what.to_owned(), feature, instead }
}

/// The URL to send to, the protocol, and which setting decided on the URL.
fn endpoint_and_protocol(
    resolver: &mut Resolver<'_>,
    given: &OtlpGiven,
    dialect: Dialect,
) -> Result<(Endpoint, OtlpProtocol, String), SetupError> {
    let named = resolver.first(&[
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", choice::otlp_protocol),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", choice::otlp_protocol),
    ]);
    let variable = resolver.first_text(&[TRACES_ENDPOINT, BASE_ENDPOINT, ALIAS_ENDPOINT, JAEGER_ENDPOINT]);
    let found = match (&variable, &given.endpoint) {
        (Some((text, name)), _) => Some((text.clone(), Source::Variable(name))),
        (None, Some(text)) => Some((text.clone(), Source::Code)),
        (None, None) => None,
    };

    let Some((text, source)) = found else {
        let protocol = named.map(|(protocol, _)| protocol).or(given.protocol).unwrap_or_default();
        let endpoint = default_endpoint(resolver, protocol, dialect);
        push(resolver, &endpoint, Source::Default, protocol, protocol_source(named, given));
        return Ok((endpoint, protocol, "the OTLP exporter".to_owned()));
    };
    let setting = match source {
        Source::Variable(name) => name.to_owned(),
        _ => "`Setup::otlp_endpoint`".to_owned(),
    };
    let invalid = || SetupError::Invalid {
        setting: setting.clone(),
        value: endpoint::redact(&text),
        expected: endpoint::EXPECTED.to_owned(),
    };

    // The specification's words on the protocol rank first; the alias for Jaeger is gRPC unless they speak.
    let by_alias = match source {
        Source::Variable(JAEGER_ENDPOINT) => Some(OtlpProtocol::Grpc),
        _ => None,
    };
    let mut protocol = named.map(|(protocol, _)| protocol).or(by_alias).or(given.protocol);
    let is_alias =
        matches!(source, Source::Variable(ALIAS_ENDPOINT | JAEGER_ENDPOINT)) || source == Source::Code;

    let mut parsed = if text.contains("://") {
        Endpoint::parse(&text)
    } else if is_alias {
        Endpoint::parse_with_default_scheme(&text, false)
    } else if protocol == Some(OtlpProtocol::Grpc) {
        Endpoint::parse_with_default_scheme(&text, !insecure(resolver))
    } else {
        None
    }
    .ok_or_else(invalid)?;

    if source == Source::Variable(ALIAS_ENDPOINT)
        && protocol.is_none()
        && parsed.port() == Some(4317)
        && !parsed.has_path()
    {
        resolver.warn(
            ALIAS_ENDPOINT,
            "names port 4317, which is taken for OTLP over gRPC; set OTEL_EXPORTER_OTLP_PROTOCOL to say so",
        );
        protocol = Some(OtlpProtocol::Grpc);
    }
    let protocol = protocol.unwrap_or_default();
    if protocol == OtlpProtocol::HttpProtobuf {
        match source {
            Source::Variable(BASE_ENDPOINT) => parsed = parsed.join(PATH),
            Source::Variable(TRACES_ENDPOINT) => {}
            Source::Variable(name) if !parsed.has_path() => {
                resolver.warn(name, format!("has no path; `{PATH}` is added"));
                parsed = parsed.with_path(PATH);
            }
            Source::Code if !parsed.has_path() => parsed = parsed.with_path(PATH),
            _ => {}
        }
    }
    let protocol_source = match (named, by_alias, source) {
        (Some((_, name)), _, _) => Source::Variable(name),
        (None, Some(_), source) => source,
        (None, None, Source::Variable(ALIAS_ENDPOINT)) if protocol == OtlpProtocol::Grpc => source,
        _ => protocol_source(None, given),
    };
    push(resolver, &parsed, source, protocol, protocol_source);
    Ok((parsed, protocol, setting))
}

fn push(
    resolver: &mut Resolver<'_>,
    endpoint: &Endpoint,
    endpoint_source: Source,
    protocol: OtlpProtocol,
    protocol_source: Source,
) {
    resolver.push("otlp.endpoint", endpoint.to_string(), endpoint_source);
    resolver.push("otlp.protocol", protocol.as_str(), protocol_source);
}

fn protocol_source(named: Option<(OtlpProtocol, &'static str)>, given: &OtlpGiven) -> Source {
    match (named, given.protocol) {
        (Some((_, name)), _) => Source::Variable(name),
        (None, Some(_)) => Source::Code,
        (None, None) => Source::Default,
    }
}

fn default_endpoint(resolver: &mut Resolver<'_>, protocol: OtlpProtocol, dialect: Dialect) -> Endpoint {
    if dialect == Dialect::Zipkin {
        let configured = resolver.text(ZIPKIN_ENDPOINT);
        if configured.is_some() {
            resolver.warn(
                ZIPKIN_ENDPOINT,
                format!("is sent OTLP at `{PATH}`; Zipkin's own format is deprecated"),
            );
        }
        return configured
            .and_then(|text| Endpoint::parse(&text))
            .unwrap_or_else(|| Endpoint::local(9411))
            .with_path(PATH);
    }
    match protocol {
        OtlpProtocol::HttpProtobuf => Endpoint::local(4318).with_path(PATH),
        OtlpProtocol::Grpc => Endpoint::local(4317),
    }
}

/// Only asked for a gRPC target without scheme: a scheme says it better.
fn insecure(resolver: &mut Resolver<'_>) -> bool {
    resolver
        .first(&[
            ("OTEL_EXPORTER_OTLP_TRACES_INSECURE", parse::strict_boolean),
            ("OTEL_EXPORTER_OTLP_INSECURE", parse::strict_boolean),
        ])
        .is_some_and(|(insecure, _)| insecure)
}

fn headers(resolver: &mut Resolver<'_>, given: &OtlpGiven) -> Vec<(String, String)> {
    let variables = ["OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"];
    let (headers, source) = match resolver.first_text(&variables) {
        Some((text, variable)) => {
            let (headers, problems) = parse::headers(&text);
            for problem in problems {
                resolver.warn(variable, problem);
            }
            (headers, Source::Variable(variable))
        }
        None if !given.headers.is_empty() => {
            let lower = given.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone()));
            (lower.collect(), Source::Code)
        }
        None => (Vec::new(), Source::Default),
    };
    let shown: Vec<String> = headers.iter().map(|(name, _)| format!("{name}=REDACTED")).collect();
    resolver.push("otlp.headers", shown.join(","), source);
    headers
}

fn compression(resolver: &mut Resolver<'_>) -> bool {
    fn words(text: &str) -> Result<bool, parse::Expected> {
        parse::word(text, &[("gzip", true), ("none", false)])
    }
    let variables: [(&'static str, super::effective::Parser<bool>); 2] =
        [("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", words), ("OTEL_EXPORTER_OTLP_COMPRESSION", words)];
    let found = resolver.first(&variables);
    if let (Some((true, variable)), false) = (found, cfg!(feature = "otlp-gzip")) {
        resolver
            .warn(variable, "is `gzip`, which needs the feature `otlp-gzip`; spans are sent uncompressed");
    }
    let gzip = found.is_some_and(|(gzip, _)| gzip) && cfg!(feature = "otlp-gzip");
    let source = found.map_or(Source::Default, |(_, variable)| Source::Variable(variable));
    resolver.push("otlp.compression", if gzip { "gzip" } else { "none" }, source);
    gzip
}

type Identity = (Vec<u8>, Vec<u8>);

fn certificates(
    resolver: &mut Resolver<'_>,
    endpoint: &Endpoint,
) -> Result<(Option<Vec<u8>>, Option<Identity>), SetupError> {
    let authority =
        pem(resolver, endpoint, ["OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE"])?;
    let certificate = pem(
        resolver,
        endpoint,
        ["OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE", "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"],
    )?;
    let key =
        pem(resolver, endpoint, ["OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "OTEL_EXPORTER_OTLP_CLIENT_KEY"])?;
    let identity = match (certificate, key) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        (Some(_), None) => {
            resolver.warn(
                "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
                "needs OTEL_EXPORTER_OTLP_CLIENT_KEY; it is not used",
            );
            None
        }
        (None, Some(_)) => {
            resolver.warn(
                "OTEL_EXPORTER_OTLP_CLIENT_KEY",
                "needs OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE; it is not used",
            );
            None
        }
    };
    Ok((authority, identity))
}

fn pem(
    resolver: &mut Resolver<'_>,
    endpoint: &Endpoint,
    variables: [&'static str; 2],
) -> Result<Option<Vec<u8>>, SetupError> {
    let Some((path, variable)) = resolver.first_text(&variables) else { return Ok(None) };
    if !endpoint.is_secure() {
        resolver.warn(variable, "has no effect on an endpoint with `http://`");
        return Ok(None);
    }
    match fs::read(&path) {
        Ok(pem) => Ok(Some(pem)),
        Err(source) => Err(SetupError::Unreadable { setting: variable.to_owned(), path, source }),
    }
}

#[cfg(test)]
mod tests;
