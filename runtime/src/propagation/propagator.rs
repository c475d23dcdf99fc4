//! The propagator that set-up registers: the formats of `OTEL_PROPAGATORS` by our own codecs.

use std::borrow::Cow;
use std::str::FromStr;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{SpanContext, TraceContextExt as _};
use opentelemetry::{Context, global};

use super::bridge::{Extracted, Injected};
use super::w3c::{self, BAGGAGE, Parts, TRACEPARENT, TRACESTATE};
use super::{b3, jaeger};

/// One header format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// `traceparent` and `tracestate` (W3C Trace Context, level 2).
    TraceContext,
    /// `baggage` (W3C Baggage).
    Baggage,
    /// Zipkin's single `b3` header. Reads the multiple headers, too.
    B3,
    /// Zipkin's `x-b3-*` headers. Reads the single header, too.
    B3Multi,
    /// Jaeger's `uber-trace-id`.
    Jaeger,
}

const W3C_TRACE: &[&str] = &[TRACEPARENT, TRACESTATE];
const W3C_BAGGAGE: &[&str] = &[BAGGAGE];
const B3_SINGLE: &str = "b3";
const B3_FIELDS: &[&str] = &["x-b3-traceid", "x-b3-spanid", "x-b3-sampled", "x-b3-flags"];
const UBER_TRACE_ID: &str = "uber-trace-id";

impl Format {
    /// Every format, under the name that `OTEL_PROPAGATORS` has for it.
    pub const ALL: [(&'static str, Format); 5] = [
        ("tracecontext", Format::TraceContext),
        ("baggage", Format::Baggage),
        ("b3", Format::B3),
        ("b3multi", Format::B3Multi),
        ("jaeger", Format::Jaeger),
    ];

    const fn fields(self) -> &'static [&'static str] {
        match self {
            Format::TraceContext => W3C_TRACE,
            Format::Baggage => W3C_BAGGAGE,
            // Both are read, so both are replaced.
            Format::B3 | Format::B3Multi => {
                &[B3_SINGLE, "x-b3-traceid", "x-b3-spanid", "x-b3-sampled", "x-b3-flags"]
            }
            Format::Jaeger => &[UBER_TRACE_ID],
        }
    }
}

/// A word that names no format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown propagator `{name}`; expected `tracecontext`, `baggage`, `b3`, `b3multi`, `jaeger` or `none`"
)]
pub struct UnknownPropagator {
    name: String,
}

impl UnknownPropagator {
    /// The word.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl FromStr for Format {
    type Err = UnknownPropagator;

    /// Reads a name of `OTEL_PROPAGATORS`, without regard to case.
    fn from_str(name: &str) -> Result<Self, UnknownPropagator> {
        let found = Format::ALL.iter().find(|(known, _)| known.eq_ignore_ascii_case(name.trim()));
        found.map(|(_, format)| *format).ok_or_else(|| UnknownPropagator { name: name.trim().to_owned() })
    }
}

/// Reads and writes trace context in one or several formats.
///
/// As the global propagator it serves [`inject_trace_context`](crate::inject_trace_context()), and everybody who uses
/// OpenTelemetry's own interface. Several formats are all written; when reading, a later format wins over an earlier one.
///
/// ```
/// use throughline::propagation::{Format, Propagator};
///
/// let propagator = Propagator::new([Format::TraceContext, Format::Baggage]);
/// throughline::opentelemetry::global::set_text_map_propagator(propagator);
/// ```
#[derive(Clone, Debug)]
pub struct Propagator {
    formats: Vec<Format>,
    fields: Cow<'static, [String]>,
}

/// The fields of the default formats. All such propagators give these very ones, so that they are known by their place.
static DEFAULT_FIELDS: LazyLock<Vec<String>> =
    LazyLock::new(|| [TRACEPARENT, TRACESTATE, BAGGAGE].map(str::to_owned).to_vec());

/// Whether a propagator whose first field is this reads and writes W3C trace context and baggage, and nothing else.
pub(super) fn is_first_of_default(field: &str) -> bool {
    DEFAULT_FIELDS.first().is_some_and(|first| std::ptr::eq(first.as_str(), field))
}

/// Default propagators that set-up registered and nobody has replaced: one or none.
static STANDING: AtomicUsize = AtomicUsize::new(0);

/// Whether the global propagator is the one that set-up registers by default, told without OpenTelemetry's lock and a call
/// of the propagator. False also where another one does the same.
#[inline]
pub(super) fn is_default_standing() -> bool {
    STANDING.load(Ordering::Relaxed) != 0
}

/// What set-up registers.
#[derive(Debug)]
struct Registered(Propagator);

/// Makes this the global propagator.
pub(crate) fn register(propagator: Propagator) {
    STANDING.fetch_add(usize::from(propagator.is_default()), Ordering::Relaxed);
    global::set_text_map_propagator(Registered(propagator));
}

impl Drop for Registered {
    /// Another one has taken its place.
    fn drop(&mut self) {
        STANDING.fetch_sub(usize::from(self.0.is_default()), Ordering::Relaxed);
    }
}

impl TextMapPropagator for Registered {
    fn inject_context(&self, cx: &Context, injector: &mut dyn Injector) {
        self.0.inject_context(cx, injector);
    }

    fn extract_with_context(&self, cx: &Context, extractor: &dyn Extractor) -> Context {
        self.0.extract_with_context(cx, extractor)
    }

    fn fields(&self) -> FieldIter<'_> {
        self.0.fields()
    }
}

impl Default for Propagator {
    /// W3C trace context and baggage.
    fn default() -> Self {
        Self::new([Format::TraceContext, Format::Baggage])
    }
}

impl Propagator {
    /// A propagator of these formats, each counted once. Without a format it reads and writes nothing.
    pub fn new(formats: impl IntoIterator<Item = Format>) -> Self {
        let mut unique = Vec::new();
        for format in formats {
            if !unique.contains(&format) {
                unique.push(format);
            }
        }
        let mut fields: Vec<String> = Vec::new();
        for field in unique.iter().flat_map(|format| format.fields()) {
            if !fields.iter().any(|known| known == field) {
                fields.push((*field).to_owned());
            }
        }
        let fields =
            if fields == *DEFAULT_FIELDS { Cow::Borrowed(DEFAULT_FIELDS.as_slice()) } else { fields.into() };
        Propagator { formats: unique, fields }
    }

    /// The formats, in order.
    pub fn formats(&self) -> &[Format] {
        &self.formats
    }

    fn is_default(&self) -> bool {
        self.fields.first().is_some_and(|first| is_first_of_default(first))
    }
}

const TRACE: Parts = Parts { trace: true, baggage: false };
const ONLY_BAGGAGE: Parts = Parts { trace: false, baggage: true };

impl TextMapPropagator for Propagator {
    fn inject_context(&self, cx: &Context, injector: &mut dyn Injector) {
        let span = cx.span();
        let span = span.span_context();
        for format in &self.formats {
            match format {
                Format::TraceContext => w3c::inject(cx, &mut Injected(injector), TRACE),
                Format::Baggage => w3c::inject(cx, &mut Injected(injector), ONLY_BAGGAGE),
                _ if !span.is_valid() => {}
                Format::B3 => injector.set(B3_SINGLE, b3::write_single(span, &mut [0; 51]).to_owned()),
                Format::B3Multi => {
                    let [trace, id, sampled, _] = B3_FIELDS else { continue };
                    injector.set(trace, span.trace_id().to_string());
                    injector.set(id, span.span_id().to_string());
                    injector.set(sampled, if span.is_sampled() { "1" } else { "0" }.to_owned());
                }
                Format::Jaeger => injector.set(UBER_TRACE_ID, jaeger::write(span)),
            }
        }
    }

    fn extract_with_context(&self, cx: &Context, extractor: &dyn Extractor) -> Context {
        let mut cx = cx.clone();
        for format in &self.formats {
            let span = match format {
                Format::TraceContext => {
                    cx = w3c::extract(
                        &cx,
                        &Extracted { extractor, fields: W3C_TRACE },
                        TRACE,
                        w3c::duplicates(),
                    );
                    None
                }
                Format::Baggage => {
                    cx = w3c::extract(
                        &cx,
                        &Extracted { extractor, fields: W3C_BAGGAGE },
                        ONLY_BAGGAGE,
                        w3c::duplicates(),
                    );
                    None
                }
                Format::B3 | Format::B3Multi => extract_b3(extractor),
                Format::Jaeger => {
                    extractor.get(UBER_TRACE_ID).and_then(|value| jaeger::parse(value.as_bytes()))
                }
            };
            if let Some(span) = span {
                cx = cx.with_remote_span_context(span);
            }
        }
        cx
    }

    fn fields(&self) -> FieldIter<'_> {
        FieldIter::new(&self.fields)
    }
}

/// The single header goes first: it is what newer senders write.
fn extract_b3(extractor: &dyn Extractor) -> Option<SpanContext> {
    let single = extractor.get(B3_SINGLE).and_then(|value| b3::parse_single(value.as_bytes()));
    single.or_else(|| {
        let [trace, id, sampled, flags] = B3_FIELDS else { return None };
        let get = |name| extractor.get(name).map(str::as_bytes);
        b3::parse_multi(get(trace)?, get(id)?, get(sampled), get(flags))
    })
}
