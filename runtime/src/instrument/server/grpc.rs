//! What differs for gRPC: the name, and a status that comes with the trailers.

use http::HeaderMap;
use http::header::CONTENT_TYPE;

/// Whether the request is gRPC, by its content type.
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// `rpc.method` of a path: `/pkg.Service/Method` without the slash in front.
pub(super) fn method(path: &str) -> Option<&str> {
    path.strip_prefix('/').filter(|method| {
        method
            .split_once('/')
            .is_some_and(|(service, name)| !service.is_empty() && !name.is_empty() && !name.contains('/'))
    })
}

/// `rpc.status_code` as a word, from trailers or from the head of an answer without body.
pub(super) fn status(headers: &HeaderMap) -> Option<&'static str> {
    let code: usize = headers.get("grpc-status")?.to_str().ok()?.trim().parse().ok()?;
    Some(WORDS.get(code).copied().unwrap_or("UNKNOWN"))
}

/// The codes of gRPC, by number.
const WORDS: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// Which of them are errors on the server's side, as the convention for gRPC has it: a caller's mistake is none.
pub(super) fn is_server_error(status: &str) -> bool {
    matches!(
        status,
        "UNKNOWN" | "DEADLINE_EXCEEDED" | "UNIMPLEMENTED" | "INTERNAL" | "UNAVAILABLE" | "DATA_LOSS"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_is_a_word() {
        let mut headers = HeaderMap::new();
        assert_eq!(status(&headers), None);
        for (code, word) in [("0", "OK"), ("14", "UNAVAILABLE"), ("99", "UNKNOWN")] {
            headers.insert("grpc-status", code.parse().unwrap());
            assert_eq!(status(&headers), Some(word));
        }
        headers.insert("grpc-status", "none".parse().unwrap());
        assert_eq!(status(&headers), None);
    }

    #[test]
    fn method_has_two_parts() {
        assert_eq!(method("/pkg.Service/Method"), Some("pkg.Service/Method"));
        for wrong in ["/pkg.Service/", "//Method", "/x", "/a/b/c", ""] {
            assert_eq!(method(wrong), None, "{wrong}");
        }
    }
}
