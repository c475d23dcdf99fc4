//! OTLP over TLS, both protocols: a given authority, a certificate of our own, and what happens without them.

mod server;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use opentelemetry::trace::{Span as _, Tracer as _, TracerProvider as _};
use throughline::{Report, Setup};

use server::{Asks, TlsServer};

const FAR: Duration = Duration::from_secs(60);

fn certificate(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/otlp_tls/certificates").join(name)
}

/// Sends one span with these settings beside the endpoint and protocol, and waits until it has arrived or an attempt
/// has failed.
fn send(server: &TlsServer, settings: &[(&str, &str)]) -> (Report, Option<String>) {
    let path = |name: &str| certificate(name).to_str().expect("a path in UTF-8").to_owned();
    let url = server.url();
    let mut environment = vec![
        ("OTEL_TRACES_EXPORTER", "otlp".to_owned()),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", url),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", server.protocol().to_owned()),
    ];
    environment.extend(settings.iter().map(|(variable, file)| (*variable, path(file))));
    let telemetry = Setup::new("planner").environment(environment).local().expect("set-up");
    telemetry.provider().expect("tracing is on").tracer("test").start("secret").end();
    let begin = Instant::now();
    loop {
        let report = telemetry.flush(Duration::from_millis(10));
        let error = telemetry.health().exporters[0].last_error.clone();
        if report.is_complete() || error.is_some() || begin.elapsed() > FAR {
            let _ = telemetry.shutdown(Duration::ZERO);
            return (report, error);
        }
    }
}

const AUTHORITY: (&str, &str) = ("OTEL_EXPORTER_OTLP_CERTIFICATE", "authority.pem");
const CLIENT: [(&str, &str); 2] = [
    ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "client.pem"),
    ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "client.key.pem"),
];

/// Features are those of the whole program: what ours turns on in `reqwest` must leave the program's own clients usable,
/// also where nobody has installed a provider for `rustls`.
#[test]
fn other_clients_of_the_program_can_be_built() {
    let _ = reqwest::Client::new();
}

#[test]
fn given_authority_is_trusted() {
    for server in TlsServer::both(Asks::Nothing) {
        let (report, error) = send(&server, &[AUTHORITY]);
        assert!(report.is_complete(), "{}: {report} {error:?}", server.protocol());
        assert_eq!(server.names(), ["secret"], "{}", server.protocol());
    }
}

#[test]
fn unknown_authority_is_not() {
    for server in TlsServer::both(Asks::Nothing) {
        let (report, error) = send(&server, &[]);
        assert_eq!(report.exporters[0].exported, 0, "{}: {report}", server.protocol());
        let error = error.unwrap_or_default().to_lowercase();
        assert!(
            error.contains("certificate") || error.contains("unknownissuer"),
            "{}: {error}",
            server.protocol()
        );
        assert!(server.names().is_empty(), "{}", server.protocol());
    }
}

#[test]
fn certificate_of_ours_is_shown_to_who_asks() {
    for server in TlsServer::both(Asks::ForACertificate) {
        let (report, error) = send(&server, &[AUTHORITY, CLIENT[0], CLIENT[1]]);
        assert!(report.is_complete(), "{}: {report} {error:?}", server.protocol());
    }
    for server in TlsServer::both(Asks::ForACertificate) {
        let (report, _) = send(&server, &[AUTHORITY]);
        assert_eq!(report.exporters[0].exported, 0, "{}: {report}", server.protocol());
    }
}
