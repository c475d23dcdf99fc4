//! Jaeger's `uber-trace-id` (jaegertracing.io, "Propagation Format").

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};
use percent_encoding::percent_decode;

use super::b3::parse_hex;
use super::refused::{Refusal, refuse};
use super::traceparent::trim;

/// Flag bits: sampled, debug. Debug implies sampled.
const SAMPLED_OR_DEBUG: u8 = 0x03;

/// Reads `{trace}:{span}:{parent}:{flags}`, also with `%3A` for the colons; ids may lack leading zeros.
pub(crate) fn parse(value: &[u8]) -> Option<SpanContext> {
    let parsed = (|| {
        let value: Vec<u8> = percent_decode(trim(value)).collect();
        let mut fields = value.split(|byte| *byte == b':');
        let (trace, span, parent, flags) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        if fields.next().is_some()
            || (!parent.is_empty() && (parent.len() > 16 || parse_hex(parent).is_none()))
        {
            return None;
        }
        if span.len() > 16 || flags.len() > 2 {
            return None;
        }
        let flags = u8::try_from(parse_hex(flags)?).ok()?;
        let sampled = flags & SAMPLED_OR_DEBUG != 0;
        let span = SpanContext::new(
            TraceId::from(parse_hex(trace)?),
            SpanId::from(u64::try_from(parse_hex(span)?).ok()?),
            if sampled { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED },
            true,
            TraceState::NONE,
        );
        span.is_valid().then_some(span)
    })();
    if parsed.is_none() {
        refuse(Refusal::Traceparent);
    }
    parsed
}

/// The value for `span`. The parent is deprecated and written as 0.
pub(crate) fn write(span: &SpanContext) -> String {
    format!(
        "{}:{}:0:{:x}",
        span.trace_id(),
        span.span_id(),
        span.trace_flags().to_u8() & TraceFlags::SAMPLED.to_u8()
    )
}
