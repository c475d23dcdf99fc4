//! The lines at the start: where everything is, and what to tell a service.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What the lines tell.
#[derive(Debug)]
pub(super) struct Greeting {
    /// Without what may be a password.
    pub(super) store: String,
    pub(super) api: SocketAddr,
    pub(super) http: Option<SocketAddr>,
    pub(super) grpc: Option<SocketAddr>,
    pub(super) access: Access,
    /// Brokers, topic and group.
    pub(super) kafka: Option<(String, String, String)>,
}

/// Who is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Loopback,
    Token,
    Everybody,
}

impl Greeting {
    pub(super) fn text(&self) -> String {
        let mut out = format!("throughline {} is ready\n", env!("CARGO_PKG_VERSION"));
        let mut line = |name: &str, value: &str| {
            // Writing to a string cannot fail.
            let _ = writeln!(out, "  {name:<11} {value}");
        };
        let api = url(self.api);
        line("traces in", &self.store);
        line("REST API", &format!("{api}/api/traces/"));
        line("OpenAPI", &format!("{api}/api/openapi.json"));
        line("Jaeger API", &format!("{api}/jaeger"));
        line("health", &format!("{api}/health"));
        line("OTLP/HTTP", &format!("{}/v1/traces", url(self.http.unwrap_or(self.api))));
        if let Some(grpc) = self.grpc {
            line("OTLP/gRPC", &url(grpc));
        }
        if let Some((brokers, topic, group)) = &self.kafka {
            line("from Kafka", &format!("topic {topic} of {brokers}, as group {group}"));
        }
        line(
            "access",
            match self.access {
                Access::Loopback => "this machine only, without a token",
                Access::Token => "whoever has the token",
                Access::Everybody => "EVERYBODY who reaches these addresses (--insecure)",
            },
        );
        out.push_str(&self.settings());
        out
    }

    /// To be copied into a shell.
    fn settings(&self) -> String {
        let http = url(self.http.unwrap_or(self.api));
        let mut out = format!(
            "\nA service with throughline sends here with\n  export TRACING_EXPORTER=otlp TRACING_OTLP_ENDPOINT={http}/v1/traces\n\
             and one with another OpenTelemetry SDK with\n  export OTEL_TRACES_EXPORTER=otlp OTEL_EXPORTER_OTLP_ENDPOINT={http} \
             OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf\n"
        );
        if self.access == Access::Token {
            out.push_str(
                "both with\n  export OTEL_EXPORTER_OTLP_HEADERS=\"authorization=Bearer%20$THROUGHLINE_API_TOKEN\"\n",
            );
        }
        out
    }
}

/// How a program on this machine reaches an address.
fn url(address: SocketAddr) -> String {
    let ip = match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    format!("http://{}", SocketAddr::new(ip, address.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn greeting(access: Access) -> String {
        let at = |port| SocketAddr::from(([0, 0, 0, 0], port));
        Greeting {
            store: "sqlite:./throughline.db".to_owned(),
            api: at(16690),
            http: Some(at(4318)),
            grpc: None,
            access,
            kafka: None,
        }
        .text()
    }

    #[test]
    fn settings_can_be_copied() {
        let text = greeting(Access::Loopback);
        assert!(text.contains("TRACING_OTLP_ENDPOINT=http://127.0.0.1:4318/v1/traces\n"), "{text}");
        assert!(!text.contains("HEADERS") && !text.contains("gRPC"), "{text}");
    }

    #[test]
    fn header_is_told_where_a_token_is_needed() {
        assert!(greeting(Access::Token).contains("Bearer%20$THROUGHLINE_API_TOKEN"));
    }
}
