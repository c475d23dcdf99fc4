//! The grammar of `traceparent` (W3C Trace Context, level 2, section 3.2), read eight digits at a time and written from
//! a table.

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

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

impl Traceparent {
    /// The remote span that wrote it.
    #[inline]
    pub(crate) fn to_span_context(self, state: TraceState) -> SpanContext {
        SpanContext::new(self.trace_id, self.span_id, self.flags, true, state)
    }
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
#[inline]
fn parse_fields(v: &[u8; LENGTH]) -> Option<Traceparent> {
    if (v[2], v[35], v[52]) != (b'-', b'-', b'-') {
        return None;
    }
    // Nearly always, and two comparisons instead of two table look-ups.
    if (v[0], v[1]) != (b'0', b'0') && hex2(v[0], v[1])? == 0xff {
        return None;
    }
    let flags = match (v[53], v[54]) {
        (b'0', b'1') => 1,
        (high, low) => hex2(high, low)?,
    };
    // All digits are judged together: one branch instead of six.
    let mut bad = 0;
    let mut half =
        |at| u64::from(hex8(chunk(v, at), &mut bad)) << 32 | u64::from(hex8(chunk(v, at + 8), &mut bad));
    let (high, low, span) = (half(3), half(19), half(36));
    if bad != 0 || high | low == 0 || span == 0 {
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

/// Eight lower-case hexadecimal digits, the first one in the highest byte, as their number. Sets bits of `bad` if one of
/// them is no such digit; the number then means nothing.
///
/// Works on all bytes at once. Bit 6 tells letters from digits and so what to subtract; a byte that is neither is then
/// above 15, or it is on the wrong side of 10. What it borrows from the next byte does no harm: the lowest such byte
/// borrowed nothing itself and is found.
#[inline(always)]
#[allow(clippy::cast_possible_truncation)] // the lower half is the number
pub(crate) fn hex8(x: u64, bad: &mut u64) -> u32 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let letters = (x >> 6) & ONES;
    let nibbles = x.wrapping_sub(0x30 * ONES).wrapping_sub(letters * 0x27);
    let above_nine = nibbles.wrapping_add(6 * ONES) >> 4;
    *bad |= (nibbles & (0xf0 * ONES)) | ((above_nine ^ letters) & ONES);
    let bytes = (nibbles | nibbles >> 4) & 0x00ff_00ff_00ff_00ff;
    let pairs = (bytes | bytes >> 8) & 0x0000_ffff_0000_ffff;
    (pairs | pairs >> 16) as u32
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
        // Twice the same byte beside one another, so that a borrow between two bad ones is tried, too.
        for (position, width) in (0..8).map(|at| (at, 1)).chain((0..7).map(|at| (at, 2))) {
            for byte in 0..=u8::MAX {
                let mut digits = *b"1a2f0948";
                digits[position..position + width].fill(byte);
                let expected = str::from_utf8(&digits)
                    .ok()
                    .filter(|text| text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
                    .and_then(|text| u32::from_str_radix(text, 16).ok());
                let mut bad = 0;
                let number = hex8(u64::from_be_bytes(digits), &mut bad);
                assert_eq!((bad == 0).then_some(number), expected, "{digits:?}");
            }
        }
    }
}
