//! The grammar of `traceparent` (W3C Trace Context, level 2, section 3.2), read eight digits at a time and written from
//! a table.

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId};

/// Bytes of a `traceparent` of version 00.
pub(crate) const LENGTH: usize = 55;

/// A longer value is not looked at.
pub(crate) const MAX_BYTES: usize = 512;

/// Flags of level 2: sampled and random. The others have no meaning yet and must not be passed on.
const KNOWN_FLAGS: u8 = 0x03;

/// The three ids of a `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Traceparent {
    pub(crate) trace_id: TraceId,
    pub(crate) span_id: SpanId,
    pub(crate) flags: TraceFlags,
}

/// Reads a value, blanks and tabs round it allowed.
pub(crate) fn parse(value: &[u8]) -> Option<Traceparent> {
    // The common case has nothing to trim; `trim` is the slower path.
    if let Some(version_00) = value.first_chunk::<LENGTH>().filter(|_| value.len() == LENGTH)
        && let Some(parsed) = parse_fields(version_00)
    {
        return Some(parsed);
    }
    let value = trim(value);
    let fields = value.first_chunk::<LENGTH>()?;
    let future = match value.get(LENGTH) {
        None => false,
        Some(b'-') => true,
        Some(_) => return None,
    };
    if future && fields.starts_with(b"00") {
        return None;
    }
    parse_fields(fields)
}

/// `vv-tttttttttttttttttttttttttttttttt-ssssssssssssssss-ff`
fn parse_fields(v: &[u8; LENGTH]) -> Option<Traceparent> {
    if (v[2], v[35], v[52]) != (b'-', b'-', b'-') {
        return None;
    }
    let version = hex2(v[0], v[1])?;
    if version == 0xff {
        return None;
    }
    let high = u64::from(hex8(chunk(v, 3))?) << 32 | u64::from(hex8(chunk(v, 11))?);
    let low = u64::from(hex8(chunk(v, 19))?) << 32 | u64::from(hex8(chunk(v, 27))?);
    let span = u64::from(hex8(chunk(v, 36))?) << 32 | u64::from(hex8(chunk(v, 44))?);
    let flags = hex2(v[53], v[54])?;
    if high | low == 0 || span == 0 {
        return None;
    }
    Some(Traceparent {
        trace_id: TraceId::from(u128::from(high) << 64 | u128::from(low)),
        span_id: SpanId::from(span),
        flags: TraceFlags::new(flags & KNOWN_FLAGS),
    })
}

/// Eight bytes from `at`. The compiler removes the bounds check: `at` is constant at every call.
#[inline(always)]
fn chunk(v: &[u8; LENGTH], at: usize) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&v[at..at + 8]);
    u64::from_be_bytes(bytes)
}

/// Eight lower-case hexadecimal digits, the first one in the highest byte, as their number.
///
/// Works on all bytes at once: adding `0x80 - n` to a byte below 0x80 sets its top bit exactly if the byte is at least
/// `n`, and never carries into the next byte.
#[inline]
pub(crate) fn hex8(x: u64) -> Option<u32> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const TOPS: u64 = 0x8080_8080_8080_8080;
    if x & TOPS != 0 {
        return None;
    }
    let at_least = |n: u64| x + (0x80 - n) * ONES;
    let digit = at_least(0x30) & !at_least(0x3a);
    let letter = at_least(0x61) & !at_least(0x67);
    if (digit | letter) & TOPS != TOPS {
        return None;
    }
    let nibbles = (x & (0x0f * ONES)) + ((x >> 6) & ONES) * 9;
    let bytes = (nibbles | nibbles >> 4) & 0x00ff_00ff_00ff_00ff;
    let pairs = (bytes | bytes >> 8) & 0x0000_ffff_0000_ffff;
    u32::try_from((pairs | pairs >> 16) & 0xffff_ffff).ok()
}

/// Two lower-case hexadecimal digits.
#[inline]
fn hex2(high: u8, low: u8) -> Option<u8> {
    const fn nibble(digit: u8) -> Option<u8> {
        match digit {
            b'0'..=b'9' => Some(digit - b'0'),
            b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        }
    }
    match (nibble(high), nibble(low)) {
        (Some(high), Some(low)) => Some(high << 4 | low),
        _ => None,
    }
}

/// The value for `span`, version 00, in `text`.
pub(crate) fn write<'a>(span: &SpanContext, text: &'a mut [u8; LENGTH]) -> &'a str {
    *text = *b"00-00000000000000000000000000000000-0000000000000000-00";
    write_hex(&span.trace_id().to_bytes(), &mut text[3..35]);
    write_hex(&span.span_id().to_bytes(), &mut text[36..52]);
    write_hex(&[span.trace_flags().to_u8() & KNOWN_FLAGS], &mut text[53..55]);
    // Only hexadecimal digits and dashes were written.
    str::from_utf8(text).unwrap_or_default()
}

/// Writes two digits per byte; `text` is twice as long as `bytes`.
pub(crate) fn write_hex(bytes: &[u8], text: &mut [u8]) {
    static PAIRS: [[u8; 2]; 256] = {
        let digits = b"0123456789abcdef";
        let mut pairs = [[0; 2]; 256];
        let mut byte = 0;
        while byte < 256 {
            pairs[byte] = [digits[byte >> 4], digits[byte & 0x0f]];
            byte += 1;
        }
        pairs
    };
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair.copy_from_slice(&PAIRS[usize::from(*byte)]);
    }
}

/// `value` without the blanks and tabs round it.
pub(crate) fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = value {
        value = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn what_is_written_is_read_back() {
        let parsed = parse(GOOD.as_bytes()).unwrap();
        let span = SpanContext::new(parsed.trace_id, parsed.span_id, parsed.flags, true, Default::default());
        assert_eq!(write(&span, &mut [0; LENGTH]), GOOD);
    }

    #[test]
    fn every_byte_is_judged_like_a_digit_table_would() {
        for position in 0..8 {
            for byte in 0..=u8::MAX {
                let mut digits = *b"12345678";
                digits[position] = byte;
                let expected = str::from_utf8(&digits)
                    .ok()
                    .filter(|text| text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
                    .and_then(|text| u32::from_str_radix(text, 16).ok());
                assert_eq!(hex8(u64::from_be_bytes(digits)), expected, "{digits:?}");
            }
        }
    }
}
