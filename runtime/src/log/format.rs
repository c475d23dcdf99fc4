//! The wrapper round an event format.

use std::fmt;

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, TraceContextExt};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// A format of log lines that shows in which span a line was written.
///
/// Wraps any [`FormatEvent`], such as those of `tracing_subscriber::fmt::format()`.
#[derive(Debug, Clone)]
pub struct TraceIds<F> {
    inner: F,
    shape: Shape,
}

#[derive(Debug, Clone, Copy)]
enum Shape {
    Text,
    Json,
}

impl<F> TraceIds<F> {
    /// For formats that write text or logfmt: `trace_id=.. span_id=.. trace_flags=..` in front of the line.
    pub fn text(inner: F) -> Self {
        Self { inner, shape: Shape::Text }
    }

    /// For formats that write one JSON object per line: the ids become its first fields. What is no object is passed on
    /// as it is.
    ///
    /// ```
    /// use throughline::log::TraceIds;
    ///
    /// let subscriber = tracing_subscriber::fmt()
    ///     .json() // the fields, too, are to be JSON
    ///     .event_format(TraceIds::json(tracing_subscriber::fmt::format().json()))
    ///     .finish();
    /// ```
    pub fn json(inner: F) -> Self {
        Self { inner, shape: Shape::Json }
    }
}

impl<S, N, F> FormatEvent<S, N> for TraceIds<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let Some(span) = current() else { return self.inner.format_event(context, writer, event) };
        match self.shape {
            Shape::Text => {
                write!(
                    writer,
                    "trace_id={} span_id={} trace_flags={:02x} ",
                    span.trace_id(),
                    span.span_id(),
                    span.trace_flags().to_u8()
                )?;
                self.inner.format_event(context, writer, event)
            }
            Shape::Json => {
                let mut line = String::new();
                self.inner.format_event(context, Writer::new(&mut line), event)?;
                write_with_ids(&mut writer, &line, &span)
            }
        }
    }
}

fn current() -> Option<SpanContext> {
    // The current span of `tracing` cannot be asked for while one of its events is dispatched; the context can.
    if !crate::span::has_storage() {
        return None;
    }
    Context::map_current(|cx| {
        let span = cx.has_active_span().then(|| cx.span().span_context().clone())?;
        span.is_valid().then_some(span)
    })
}

fn write_with_ids(writer: &mut Writer<'_>, line: &str, span: &SpanContext) -> fmt::Result {
    let Some(fields) = line.trim_start().strip_prefix('{') else { return writer.write_str(line) };
    write!(
        writer,
        "{{\"trace_id\":\"{}\",\"span_id\":\"{}\",\"trace_flags\":\"{:02x}\"",
        span.trace_id(),
        span.span_id(),
        span.trace_flags().to_u8()
    )?;
    if !fields.trim_start().starts_with('}') {
        writer.write_char(',')?;
    }
    writer.write_str(fields)
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{SpanId, TraceFlags, TraceId, TraceState};

    use super::*;

    fn with_ids(line: &str) -> String {
        let span = SpanContext::new(
            TraceId::from(0xab_u128),
            SpanId::from(0xcd_u64),
            TraceFlags::SAMPLED,
            false,
            TraceState::NONE,
        );
        let mut out = String::new();
        write_with_ids(&mut Writer::new(&mut out), line, &span).unwrap();
        out
    }

    const IDS: &str =
        r#""trace_id":"000000000000000000000000000000ab","span_id":"00000000000000cd","trace_flags":"01""#;

    #[test]
    fn ids_are_the_first_fields_of_an_object() {
        assert_eq!(with_ids("{\"a\":1}\n"), format!("{{{IDS},\"a\":1}}\n"));
        assert_eq!(with_ids("{}\n"), format!("{{{IDS}}}\n"));
    }

    #[test]
    fn what_is_no_object_stays_as_it_is() {
        assert_eq!(with_ids("plain\n"), "plain\n");
        assert_eq!(with_ids(""), "");
    }
}
