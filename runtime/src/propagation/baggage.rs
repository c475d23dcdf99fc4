//! The `baggage` header (W3C Baggage, section 3.3).

use std::borrow::Cow;

use opentelemetry::baggage::{Baggage, BaggageMetadata};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};

use super::refused::{Refusal, refuse};
use super::traceparent::trim;

/// Most members of a list; one with more is dropped whole.
const MAX_MEMBERS: usize = 64;

/// Longest list, all headers together, blanks included.
pub(crate) const MAX_BYTES: usize = 8_192;

/// Everything but unreserved characters is encoded, so that any reader takes the value.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Reads the values of all `baggage` headers, the first header first. `None`: nothing usable.
///
/// A list above the limits is dropped whole. A member that breaks the grammar is left out, the others are kept.
pub(crate) fn parse<'a>(values: impl Iterator<Item = &'a [u8]> + Clone) -> Option<Baggage> {
    let length: usize = values.clone().map(|value| value.len() + 1).sum();
    if length > MAX_BYTES + 1 {
        refuse(Refusal::TooLarge);
        return None;
    }
    let members = values
        .flat_map(|value| value.split(|byte| *byte == b','))
        .map(trim)
        .filter(|member| !member.is_empty());
    if members.clone().nth(MAX_MEMBERS).is_some() {
        refuse(Refusal::TooLarge);
        return None;
    }
    let mut baggage = Baggage::new();
    for member in members {
        match parse_member(member) {
            Some((key, value, properties)) => {
                baggage.insert_with_metadata(key.to_owned(), value.into_owned(), properties);
            }
            None => refuse(Refusal::Baggage),
        }
    }
    (!baggage.is_empty()).then_some(baggage)
}

fn parse_member(member: &[u8]) -> Option<(&str, Cow<'_, str>, BaggageMetadata)> {
    let (pair, properties) = match member.iter().position(|byte| *byte == b';') {
        Some(at) => {
            member.split_at_checked(at).map(|(pair, rest)| (pair, rest.get(1..).unwrap_or_default()))?
        }
        None => (member, &[][..]),
    };
    let at = pair.iter().position(|byte| *byte == b'=')?;
    let (key, value) = pair.split_at_checked(at)?;
    let (key, value) = (trim(key), trim(value.get(1..)?));
    if !is_token(key) || !value.iter().copied().all(is_baggage_octet) || !has_whole_escapes(value) {
        return None;
    }
    // `OWS` inside the properties stays as it came; anything that is not printable would break the header.
    if !properties.iter().all(|byte| matches!(byte, b'\t' | 0x20..=0x7e)) {
        return None;
    }
    let value = percent_decode(value).decode_utf8().ok()?;
    Some((str::from_utf8(key).ok()?, value, BaggageMetadata::from(str::from_utf8(properties).ok()?)))
}

/// `token` of RFC 7230, section 3.2.6.
fn is_token(key: &[u8]) -> bool {
    !key.is_empty()
        && key.iter().all(|byte| byte.is_ascii_graphic() && !b"(),/:;<=>?@[\\]{}\"".contains(byte))
}

/// `%x21 / %x23-2B / %x2D-3A / %x3C-5B / %x5D-7E`
const fn is_baggage_octet(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x2b | 0x2d..=0x3a | 0x3c..=0x5b | 0x5d..=0x7e)
}

/// Whether each `%` is followed by two hexadecimal digits.
fn has_whole_escapes(value: &[u8]) -> bool {
    let mut rest = value;
    while let Some(at) = rest.iter().position(|byte| *byte == b'%') {
        rest = match rest.get(at + 1..) {
            Some([high, low, rest @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => rest,
            _ => return false,
        };
    }
    true
}

/// The header value for `baggage`. `None`: there is nothing to write.
///
/// A member that no longer fits, or whose properties would break the header, is left out as a whole.
pub(crate) fn write(baggage: &Baggage) -> Option<String> {
    let mut text = String::new();
    for (key, (value, properties)) in baggage.iter().take(MAX_MEMBERS) {
        let start = text.len();
        if start > 0 {
            text.push(',');
        }
        text.push_str(key.as_str());
        text.push('=');
        text.extend(utf8_percent_encode(value.as_str(), ENCODED));
        let properties = properties.as_str();
        if !properties.is_empty() {
            text.push(';');
            text.push_str(properties);
        }
        if text.len() > MAX_BYTES {
            refuse(Refusal::TooLarge);
            text.truncate(start);
        } else if !properties.bytes().all(|byte| matches!(byte, b'\t' | 0x20..=0x7e) && byte != b',') {
            refuse(Refusal::Baggage);
            text.truncate(start);
        }
    }
    (!text.is_empty()).then_some(text)
}
