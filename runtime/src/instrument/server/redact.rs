//! What must not be recorded of a request, even if somebody asks for it.

use std::borrow::Cow;

use http::HeaderName;

const REDACTED: &str = "REDACTED";

/// Headers whose values are credentials.
const SECRET_HEADERS: [&str; 5] =
    ["authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key"];

/// Query parameters whose values are signatures or credentials of object stores; the convention compares with case.
const SECRET_PARAMETERS: [&str; 7] = [
    "X-Amz-Signature",
    "X-Amz-Credential",
    "X-Amz-Security-Token",
    "AWSAccessKeyId",
    "Signature",
    "sig",
    "X-Goog-Signature",
];

/// A header's value as it may be recorded.
pub(super) fn header<'v>(name: &HeaderName, value: &'v [u8]) -> Cow<'v, str> {
    if SECRET_HEADERS.contains(&name.as_str()) {
        Cow::Borrowed(REDACTED)
    } else {
        String::from_utf8_lossy(value)
    }
}

/// A query as it may be recorded.
pub(super) fn query(query: &str) -> Cow<'_, str> {
    let is_secret = |parameter: &&str| {
        parameter.split_once('=').is_some_and(|(name, _)| SECRET_PARAMETERS.contains(&name))
    };
    if !query.split('&').any(|parameter| is_secret(&parameter)) {
        return Cow::Borrowed(query);
    }
    let parameters = query.split('&').map(|parameter| match parameter.split_once('=') {
        Some((name, _)) if is_secret(&parameter) => Cow::Owned(format!("{name}={REDACTED}")),
        _ => Cow::Borrowed(parameter),
    });
    Cow::Owned(parameters.collect::<Vec<_>>().join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_in_queries_are_redacted_case_sensitively() {
        assert_eq!(query("a=1&sig=secret&b=2"), "a=1&sig=REDACTED&b=2");
        assert_eq!(query("SIG=kept"), "SIG=kept");
        assert_eq!(query("sig"), "sig");
    }

    #[test]
    fn credentials_in_headers_are_redacted() {
        assert_eq!(header(&HeaderName::from_static("authorization"), b"Bearer x"), "REDACTED");
        assert_eq!(header(&HeaderName::from_static("x-tenant"), b"acme"), "acme");
        assert_eq!(header(&HeaderName::from_static("x-tenant"), b"\xff"), "\u{fffd}");
    }
}
