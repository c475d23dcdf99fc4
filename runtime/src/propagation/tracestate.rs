//! The grammar of `tracestate` (W3C Trace Context, level 2, section 3.3).

use opentelemetry::trace::TraceState;

use super::refused::{Refusal, refuse};
use super::traceparent::trim;

/// Most members of a list; one with more is dropped whole.
const MAX_MEMBERS: usize = 32;

/// Longest list that is taken, all headers together.
pub(crate) const MAX_BYTES: usize = 8_192;

/// A legal tracestate with a key that [`TraceState`] does not take: it travels beside the span in the `Context`.
#[derive(Clone, Debug)]
pub(crate) struct RawTraceState {
    pub(crate) trace_id: opentelemetry::trace::TraceId,
    pub(crate) text: String,
}

/// What a list of `tracestate` headers holds.
pub(crate) enum Parsed {
    Empty,
    State(TraceState),
    /// Legal by the specification, refused by [`TraceState`].
    Raw(String),
}

/// Reads the values of all `tracestate` headers, the first header first. A bad member drops the list whole.
pub(crate) fn parse<'a>(values: impl Iterator<Item = &'a [u8]> + Clone) -> Parsed {
    // An upper bound before anything is allocated; the dropped blanks do not count against a sender that stays below.
    let length: usize = values.clone().map(|value| value.len() + 1).sum();
    if length > MAX_BYTES + 1 {
        refuse(Refusal::TooLarge);
        return Parsed::Empty;
    }
    let mut members = [("", ""); MAX_MEMBERS];
    let mut count = 0;
    for member in values.flat_map(|value| value.split(|byte| *byte == b',')).map(trim) {
        if member.is_empty() {
            continue;
        }
        let Some(slot) = members.get_mut(count) else {
            refuse(Refusal::TooLarge);
            return Parsed::Empty;
        };
        let Some(pair) = parse_member(member) else {
            refuse(Refusal::Tracestate);
            return Parsed::Empty;
        };
        *slot = pair;
        count += 1;
    }
    let members = members.get(..count).unwrap_or_default();
    if members.is_empty() {
        return Parsed::Empty;
    }
    match TraceState::from_key_value(members.iter().copied()) {
        Ok(state) => Parsed::State(state),
        Err(_) => {
            let members: Vec<_> = members.iter().map(|(key, value)| format!("{key}={value}")).collect();
            Parsed::Raw(members.join(","))
        }
    }
}

fn parse_member(member: &[u8]) -> Option<(&str, &str)> {
    let (key, value) = str::from_utf8(member).ok()?.split_once('=')?;
    (is_key(key.as_bytes()) && is_value(value.as_bytes())).then_some((key, value))
}

/// `( lcalpha / DIGIT ) 0*255 ( lcalpha / DIGIT / "_" / "-"/ "*" / "/" / "@" )`
fn is_key(key: &[u8]) -> bool {
    let Some(first) = key.first() else { return false };
    key.len() <= 256
        && matches!(first, b'a'..=b'z' | b'0'..=b'9')
        && key.iter().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/' | b'@'))
}

/// `0*255(chr) nblk-chr`: printable without comma and equals sign, no blank at the end.
fn is_value(value: &[u8]) -> bool {
    let Some(last) = value.last() else { return false };
    value.len() <= 256
        && *last != b' '
        && value.iter().all(|byte| matches!(byte, 0x20..=0x7e) && *byte != b',' && *byte != b'=')
}
