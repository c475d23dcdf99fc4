//! Zipkin's B3 headers, single and multiple (openzipkin/b3-propagation).

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

use super::refused::{Refusal, refuse};
use super::traceparent::{trim, write_hex};

/// Reads `b3`: `{trace}-{span}`, `{trace}-{span}-{state}` or `{trace}-{span}-{state}-{parent}`.
///
/// A decision without ids (`0`, `1`, `d`) is legal and says nothing about a span.
pub(crate) fn parse_single(value: &[u8]) -> Option<SpanContext> {
    let value = trim(value);
    if matches!(value, b"0" | b"1" | b"d") {
        return None;
    }
    let parsed = (|| {
        let mut fields = value.split(|byte| *byte == b'-');
        let (trace, span) = (fields.next()?, fields.next()?);
        let sampled = match fields.next() {
            Some(b"1" | b"d") => true,
            None | Some(b"0") => false,
            Some(_) => return None,
        };
        if fields.next().is_some_and(|parent| parse_hex64(parent).is_none()) || fields.next().is_some() {
            return None;
        }
        remote(trace, span, sampled)
    })();
    if parsed.is_none() {
        refuse(Refusal::Traceparent);
    }
    parsed
}

/// Reads `x-b3-traceid`, `x-b3-spanid`, `x-b3-sampled`, `x-b3-flags`.
pub(crate) fn parse_multi(
    trace: &[u8],
    span: &[u8],
    sampled: Option<&[u8]>,
    flags: Option<&[u8]>,
) -> Option<SpanContext> {
    // `true` and `false` are what tracers wrote before the specification.
    let sampled = match sampled.map(trim) {
        Some(b"1") => true,
        Some(word) => word.eq_ignore_ascii_case(b"true"),
        None => false,
    };
    // Debug implies an accept decision.
    let debug = flags.map(trim) == Some(b"1");
    let parsed = remote(trim(trace), trim(span), sampled || debug);
    if parsed.is_none() {
        refuse(Refusal::Traceparent);
    }
    parsed
}

fn remote(trace: &[u8], span: &[u8], sampled: bool) -> Option<SpanContext> {
    let trace_id = match trace.len() {
        32 => parse_hex(trace)?,
        16 => u128::from(parse_hex64(trace)?),
        _ => return None,
    };
    let flags = if sampled { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED };
    let span = SpanContext::new(
        TraceId::from(trace_id),
        SpanId::from(parse_hex64(span)?),
        flags,
        true,
        TraceState::NONE,
    );
    span.is_valid().then_some(span)
}

fn parse_hex64(text: &[u8]) -> Option<u64> {
    (text.len() == 16).then(|| parse_hex(text)).flatten().and_then(|id| u64::try_from(id).ok())
}

/// 1 to 32 hexadecimal digits of either case. `from_str_radix` alone would take a sign.
pub(super) fn parse_hex(text: &[u8]) -> Option<u128> {
    if text.is_empty() || text.len() > 32 || !text.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u128::from_str_radix(str::from_utf8(text).ok()?, 16).ok()
}

/// Writes `{trace}-{span}-{state}`.
pub(crate) fn write_single<'a>(span: &SpanContext, text: &'a mut [u8; 51]) -> &'a str {
    *text = *b"00000000000000000000000000000000-0000000000000000-0";
    write_hex(&span.trace_id().to_bytes(), &mut text[..32]);
    write_hex(&span.span_id().to_bytes(), &mut text[33..49]);
    if span.is_sampled() {
        text[50] = b'1';
    }
    str::from_utf8(text).unwrap_or_default()
}
