//! The attributes of a SERVER span, by the semantic conventions for HTTP and RPC, v1.44.0.

use std::borrow::Cow;
use std::net::SocketAddr;

use axum::extract::{ConnectInfo, MatchedPath};
use http::header::{HOST, USER_AGENT};
use http::{HeaderMap, HeaderName, Method, Request, Uri, Version};
use opentelemetry::{Array, KeyValue, StringValue, Value};

use super::layer::Settings;
use super::{grpc, redact};
use crate::text::at_most;

/// Longest text of a stranger that is recorded, in bytes.
const LONGEST: usize = 4096;

/// What is known before the request is served, and what samplers may want.
pub(super) struct Start {
    pub(super) name: Cow<'static, str>,
    pub(super) attributes: Vec<KeyValue>,
}

pub(super) fn at_start<B>(request: &Request<B>, settings: &Settings, is_grpc: bool) -> Start {
    let method = known(request.method());
    let path = request.uri().path();
    let mut attributes = Vec::with_capacity(12);
    attributes.push(KeyValue::new("http.request.method", method.unwrap_or("_OTHER")));
    attributes.push(KeyValue::new("url.path", at_most(path, LONGEST).to_owned()));
    attributes.push(KeyValue::new("url.scheme", scheme(request.uri())));
    if let Some(query) = request.uri().query() {
        attributes.push(KeyValue::new("url.query", at_most(&redact::query(query), LONGEST).to_owned()));
    }
    if let Some((host, port)) = authority(request.uri(), request.headers()) {
        attributes.push(KeyValue::new("server.address", at_most(host, LONGEST).to_owned()));
        attributes.extend(port.map(|port| KeyValue::new("server.port", i64::from(port))));
    }

    if let Some(rpc) = is_grpc.then(|| grpc::method(path)).flatten() {
        attributes.push(KeyValue::new("rpc.system.name", "grpc"));
        attributes.push(KeyValue::new("rpc.method", rpc.to_owned()));
        return Start { name: rpc.to_owned().into(), attributes };
    }
    let route = route(request, settings);
    let shown = method.unwrap_or("HTTP");
    let name = match &route {
        Some(route) => format!("{shown} {route}").into(),
        None => shown.into(),
    };
    attributes.extend(route.map(|route| KeyValue::new("http.route", route)));
    Start { name, attributes }
}

/// What only people want to know; computed when the span records.
pub(super) fn of_request<B>(request: &Request<B>, settings: &Settings) -> Vec<KeyValue> {
    let mut attributes = Vec::with_capacity(6);
    if known(request.method()).is_none() {
        let method = at_most(request.method().as_str(), LONGEST).to_owned();
        attributes.push(KeyValue::new("http.request.method_original", method));
    }
    if let Some(version) = version(request.version()) {
        attributes.push(KeyValue::new("network.protocol.version", version));
    }
    if let Some(agent) = request.headers().get(USER_AGENT) {
        let agent = String::from_utf8_lossy(agent.as_bytes());
        attributes.push(KeyValue::new("user_agent.original", at_most(&agent, LONGEST).to_owned()));
    }
    if let Some(ConnectInfo(peer)) = request.extensions().get::<ConnectInfo<SocketAddr>>() {
        attributes.push(KeyValue::new("client.address", peer.ip().to_string()));
        attributes.push(KeyValue::new("network.peer.address", peer.ip().to_string()));
        attributes.push(KeyValue::new("network.peer.port", i64::from(peer.port())));
    }
    headers(&mut attributes, "http.request.header.", request.headers(), &settings.request_headers);
    attributes
}

/// The headers that the user listed, as arrays of strings.
pub(super) fn headers(into: &mut Vec<KeyValue>, prefix: &str, headers: &HeaderMap, listed: &[HeaderName]) {
    for name in listed {
        let values: Vec<StringValue> = headers
            .get_all(name)
            .iter()
            .map(|value| {
                StringValue::from(at_most(&redact::header(name, value.as_bytes()), LONGEST).to_owned())
            })
            .collect();
        if !values.is_empty() {
            into.push(KeyValue::new(format!("{prefix}{name}"), Value::Array(Array::String(values))));
        }
    }
}

fn route<B>(request: &Request<B>, settings: &Settings) -> Option<String> {
    match &settings.route {
        Some(route) => route(request.method(), request.uri(), request.extensions()),
        None => Some(request.extensions().get::<MatchedPath>()?.as_str().to_owned()),
    }
}

/// The methods of RFC 9110 and RFC 5789, and QUERY; any other could be made up to flood the list of span names.
fn known(method: &Method) -> Option<&'static str> {
    ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "CONNECT", "PATCH", "TRACE", "QUERY"]
        .into_iter()
        .find(|known| *known == method.as_str())
}

/// The scheme of the request line, which only HTTP/2 and proxies have; else plain, since TLS ends before us.
fn scheme(uri: &Uri) -> &'static str {
    if uri.scheme_str() == Some("https") { "https" } else { "http" }
}

/// Host and port that the client meant: of the request line (HTTP/2), else of the header `host`.
fn authority<'r>(uri: &'r Uri, headers: &'r HeaderMap) -> Option<(&'r str, Option<u16>)> {
    if let Some(authority) = uri.authority() {
        return Some((authority.host(), authority.port_u16()));
    }
    let host = headers.get(HOST)?.to_str().ok()?;
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, port.parse().ok()),
        _ => (host, None),
    };
    (!name.is_empty()).then_some((name, port))
}

fn version(version: Version) -> Option<&'static str> {
    match version {
        Version::HTTP_10 => Some("1.0"),
        Version::HTTP_11 => Some("1.1"),
        Version::HTTP_2 => Some("2"),
        Version::HTTP_3 => Some("3"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(uri: &str, host: Option<&str>) -> Request<()> {
        let mut builder = Request::builder().uri(uri);
        if let Some(host) = host {
            builder = builder.header(HOST, host);
        }
        builder.body(()).unwrap()
    }

    fn value(start: &Start, key: &str) -> Option<Value> {
        let found = start.attributes.iter().find(|attribute| attribute.key.as_str() == key);
        found.map(|attribute| attribute.value.clone())
    }

    #[test]
    fn without_a_route_the_name_is_the_method() {
        let request = request("/plans/17?sig=secret", Some("api.example:8080"));
        let start = at_start(&request, &Settings::default(), false);
        assert_eq!(start.name, "GET");
        assert_eq!(value(&start, "url.query"), Some("sig=REDACTED".into()));
        assert_eq!(value(&start, "server.address"), Some("api.example".into()));
        assert_eq!(value(&start, "server.port"), Some(8080.into()));
        assert_eq!(value(&start, "http.route"), None);
    }

    #[test]
    fn unknown_methods_do_not_become_names() {
        let mut request = request("/", None);
        *request.method_mut() = Method::from_bytes(b"BREW").unwrap();
        let start = at_start(&request, &Settings::default(), false);
        assert_eq!(start.name, "HTTP");
        assert_eq!(value(&start, "http.request.method"), Some("_OTHER".into()));
        let more = of_request(&request, &Settings::default());
        assert!(more.contains(&KeyValue::new("http.request.method_original", "BREW")));
    }

    #[test]
    fn ipv6_hosts_keep_their_brackets() {
        for host in ["[::1]:80", "[::1]"] {
            let start = at_start(&request("/", Some(host)), &Settings::default(), false);
            assert_eq!(value(&start, "server.address"), Some("[::1]".into()));
        }
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let long = "ä".repeat(LONGEST);
        assert_eq!(at_most(&long, LONGEST).len(), LONGEST);
        assert_eq!(at_most(&format!("x{long}"), LONGEST).len(), LONGEST - 1);
    }
}
