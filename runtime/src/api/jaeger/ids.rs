//! Trace ids as Jaeger's clients write and read them.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use opentelemetry::trace::TraceId;

/// Up to 32 hex digits; leading zeros may be missing.
pub(super) fn from_hex(text: &str) -> Option<TraceId> {
    let is_id = (1..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_id {
        return None;
    }
    u128::from_str_radix(text, 16).ok().map(TraceId::from)
}

/// As [`from_hex`], or the 16 bytes in base64, as protobuf's JSON has them.
pub(super) fn from_hex_or_base64(text: &str) -> Option<TraceId> {
    from_hex(text).or_else(|| {
        let bytes = STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text)).ok()?;
        Some(TraceId::from_bytes(bytes.try_into().ok()?))
    })
}

/// The shape of version 1: 16 digits when the upper half is zero.
pub(super) fn short(id: TraceId) -> String {
    match u128::from_be_bytes(id.to_bytes()) {
        small if small >> 64 == 0 => format!("{small:016x}"),
        _ => id.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_with_and_without_leading_zeros() {
        let id = TraceId::from(0x2a_u128);
        for text in ["2a", "2A", "000000000000002a", "0000000000000000000000000000002a"] {
            assert_eq!(from_hex(text), Some(id), "{text}");
        }
        let long = "0af7651916cd43dd8448eb211c80319c";
        assert_eq!(from_hex(long).map(short).as_deref(), Some(long));
        assert_eq!(short(id), "000000000000002a");
        for wrong in ["", "x", "+1", "0x2a", "2a ", "00000000000000000000000000000000a", "é"] {
            assert_eq!(from_hex(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn base64_is_read_where_it_is_no_hex() {
        let id = TraceId::from((2_u128 << 64) + 1);
        assert_eq!(from_hex_or_base64("AAAAAAAAAAIAAAAAAAAAAQ=="), Some(id));
        assert_eq!(
            from_hex_or_base64("-_AAAAAAAAIAAAAAAAAAAQ=="),
            from_hex_or_base64("+/AAAAAAAAIAAAAAAAAAAQ==")
        );
        assert!(from_hex_or_base64("-_AAAAAAAAIAAAAAAAAAAQ==").is_some());
        assert_eq!(from_hex_or_base64("00000000000000020000000000000001"), Some(id));
        for wrong in ["AAAG", "AAAAAAAAAAIAAAAAAAAAAQ", "====", "AAAAAAAAAAIAAAAAAAAAAQAA"] {
            assert_eq!(from_hex_or_base64(wrong), None, "{wrong}");
        }
    }
}
