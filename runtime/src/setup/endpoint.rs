//! Where OTLP goes: reading, completing and redacting endpoint URLs.

use std::fmt;

/// An absolute `http` or `https` URL, in the parts that set-up decides on.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    secure: bool,
    user_info: Option<String>,
    /// Host name or address, IPv6 in brackets.
    host: String,
    port: Option<u16>,
    /// Begins with `/`, or is empty.
    path: String,
}

pub(crate) const EXPECTED: &str = "a URL such as `http://localhost:4318`";

impl Endpoint {
    /// Reads a URL; `None` for anything that no request could be sent to.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        if rest.chars().any(|c| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | '"' | '\\')) {
            return None;
        }
        let (authority, path) = match rest.find(['/', '?', '#']) {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let (user_info, host_and_port) = match authority.rsplit_once('@') {
            Some((user_info, host)) => (Some(user_info.to_owned()), host),
            None => (None, authority),
        };
        let (host, port) = if let Some(inside) = host_and_port.strip_prefix('[') {
            let (address, after) = inside.split_once(']')?;
            address.parse::<std::net::Ipv6Addr>().ok()?;
            let port = match after.strip_prefix(':') {
                Some(port) => Some(port),
                None if after.is_empty() => None,
                None => return None,
            };
            (format!("[{address}]"), port)
        } else {
            match host_and_port.split_once(':') {
                Some((host, port)) => (host.to_owned(), Some(port)),
                None => (host_and_port.to_owned(), None),
            }
        };
        let host_is_sane = host.starts_with('[')
            || (!host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%".contains(&b)));
        if !host_is_sane {
            return None;
        }
        let port = match port {
            Some(port) => Some(port.parse::<u16>().ok().filter(|port| *port != 0)?),
            None => None,
        };
        Some(Self { secure, user_info, host, port, path: path.to_owned() })
    }

    /// The same for `host:port` without a scheme, which gRPC settings often are.
    pub(crate) fn parse_with_default_scheme(text: &str, secure: bool) -> Option<Self> {
        if text.contains("://") {
            return Self::parse(text);
        }
        Self::parse(&format!("{}://{text}", if secure { "https" } else { "http" }))
    }

    /// `http://localhost:<port>`.
    pub(crate) fn local(port: u16) -> Self {
        Self {
            secure: false,
            user_info: None,
            host: "localhost".to_owned(),
            port: Some(port),
            path: String::new(),
        }
    }

    pub(crate) fn is_secure(&self) -> bool {
        self.secure
    }

    pub(crate) fn port(&self) -> Option<u16> {
        self.port
    }

    pub(crate) fn has_path(&self) -> bool {
        !matches!(self.path.as_str(), "" | "/")
    }

    /// Appends to the path, as the specification asks for the endpoint that serves all signals.
    pub(crate) fn join(mut self, path: &str) -> Self {
        let trimmed = self.path.trim_end_matches('/').len();
        self.path.truncate(trimmed);
        self.path.push_str(path);
        self
    }

    pub(crate) fn with_path(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    /// The URL to connect to, with everything that is secret.
    #[cfg_attr(not(feature = "otlp"), allow(dead_code))]
    pub(crate) fn url(&self) -> String {
        self.write(self.user_info.as_deref())
    }

    fn write(&self, user_info: Option<&str>) -> String {
        let scheme = if self.secure { "https" } else { "http" };
        let at = if user_info.is_some() { "@" } else { "" };
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        format!("{scheme}://{}{at}{}{port}{}", user_info.unwrap_or_default(), self.host, self.path)
    }
}

/// For people: without the secrets.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&redact_query(&self.write(self.user_info.as_ref().map(|_| "REDACTED:REDACTED"))))
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that was meant to be a URL, fit for a message: without what may be user-info or a key in the query.
pub(crate) fn redact(text: &str) -> String {
    let text = redact_query(text);
    let start = text.find("://").map_or(0, |at| at + 3);
    let (scheme, rest) = text.split_at(start);
    let end = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}REDACTED:REDACTED@{host}{path}"),
        None => text,
    }
}

fn redact_query(text: &str) -> String {
    match text.split_once('?') {
        Some((before, _)) => format!("{before}?REDACTED"),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_come_back_as_they_were() {
        for url in [
            "http://localhost:4318",
            "https://collector.example/otlp/v1/traces",
            "http://[::1]:4317",
            "http://user:pass@host:1/",
            "http://127.0.0.1:4318/v1/traces?key=1",
        ] {
            assert_eq!(Endpoint::parse(url).unwrap().url(), url);
        }
    }

    #[test]
    fn what_nobody_can_connect_to_is_refused() {
        for wrong in [
            "localhost:4318",
            "ftp://host",
            "http://",
            "http://:4318",
            "http://host:port",
            "http://host:70000",
            "http://host:0",
            "http://ho st",
            "http://[::1",
            "http://[::1]x",
            "http://[nonsense]:1",
            "http//host",
            "http://höst:1",
        ] {
            assert_eq!(Endpoint::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn grpc_targets_may_lack_the_scheme() {
        assert_eq!(
            Endpoint::parse_with_default_scheme("jaeger:4317", false).unwrap().url(),
            "http://jaeger:4317"
        );
        assert_eq!(
            Endpoint::parse_with_default_scheme("jaeger:4317", true).unwrap().url(),
            "https://jaeger:4317"
        );
    }

    #[test]
    fn joining_makes_one_slash() {
        for base in ["http://h:1", "http://h:1/"] {
            assert_eq!(Endpoint::parse(base).unwrap().join("/v1/traces").url(), "http://h:1/v1/traces");
        }
        assert_eq!(
            Endpoint::parse("http://h/otlp/").unwrap().join("/v1/traces").url(),
            "http://h/otlp/v1/traces"
        );
    }

    #[test]
    fn secrets_are_not_shown() {
        let endpoint = Endpoint::parse("https://user:hunter2@host/p?api_key=hunter2").unwrap();
        assert_eq!(endpoint.to_string(), "https://REDACTED:REDACTED@host/p?REDACTED");
        assert_eq!(format!("{endpoint:?}"), endpoint.to_string());
        assert_eq!(redact("htp://user:hunter2@host/x"), "htp://REDACTED:REDACTED@host/x");
        assert_eq!(redact("user:hunter2@host"), "REDACTED:REDACTED@host");
        assert_eq!(redact("http:://a?token=hunter2"), "http:://a?REDACTED");
    }
}
