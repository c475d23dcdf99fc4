//! Our headers as OpenTelemetry's `Injector` and `Extractor`, and the other way round.

use std::ops::ControlFlow;

use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::TraceContextExt as _;

use super::carrier::{HeaderEdit, HeaderView, is_one_of};
use super::refused::{Refusal, refuse};
use super::w3c::{BAGGAGE, MAX_HEADERS, TRACESTATE};

/// A longer value of another propagator's header counts as absent.
const MAX_VALUE_BYTES: usize = 8_192;

/// Headers as any propagator reads them: `get` is the last usable value, or for lists all of them joined.
pub(crate) struct Readable<'a> {
    /// From the last header to the first.
    usable: Vec<(&'a str, &'a str)>,
    joined: [Option<(&'static str, String)>; 2],
}

impl<'a> Readable<'a> {
    /// Takes every usable header, as a propagator may read more than it writes (Jaeger's baggage does). Only refusals
    /// of `fields` are counted: the others may be binary with good reason.
    pub(crate) fn new<H: HeaderView + ?Sized>(headers: &'a H, fields: &[&str]) -> Self {
        let mut usable = Vec::new();
        let mut seen = 0;
        headers.walk_back(&mut |name, value| {
            seen += 1;
            if seen > MAX_HEADERS {
                refuse(Refusal::TooMany);
                return ControlFlow::Break(());
            }
            let refused = match (str::from_utf8(name), value) {
                (Err(_), _) => None,
                (_, None | Some([])) => Some(Refusal::Empty),
                (_, Some(value)) if value.len() > MAX_VALUE_BYTES => Some(Refusal::TooLarge),
                (Ok(name), Some(value)) => match str::from_utf8(value) {
                    Ok(value) => {
                        usable.push((name, value));
                        None
                    }
                    Err(_) => Some(Refusal::NotUtf8),
                },
            };
            if let Some(reason) = refused.filter(|_| is_one_of(name, fields)) {
                refuse(reason);
            }
            ControlFlow::Continue(())
        });
        let joined = [TRACESTATE, BAGGAGE].map(|list| {
            let values: Vec<_> = usable
                .iter()
                .rev()
                .filter(|(name, _)| name.eq_ignore_ascii_case(list))
                .map(|(_, v)| *v)
                .collect();
            (values.len() > 1).then(|| (list, values.join(",")))
        });
        Readable { usable, joined }
    }
}

impl Extractor for Readable<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        let joined = self.joined.iter().flatten().find(|(list, _)| list.eq_ignore_ascii_case(key));
        joined.map(|(_, value)| value.as_str()).or_else(|| {
            self.usable.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, value)| *value)
        })
    }

    fn keys(&self) -> Vec<&str> {
        self.usable.iter().rev().map(|(name, _)| *name).collect()
    }

    fn get_all(&self, key: &str) -> Option<Vec<&str>> {
        let values: Vec<_> = self
            .usable
            .iter()
            .rev()
            .filter(|(name, _)| name.eq_ignore_ascii_case(key))
            .map(|(_, value)| *value)
            .collect();
        (!values.is_empty()).then_some(values)
    }
}

/// What a propagator wants to write, held back until the old headers are gone.
#[derive(Default)]
struct Written(Vec<(String, String)>);

impl Injector for Written {
    fn set(&mut self, key: &str, value: String) {
        // Stock propagators write an empty tracestate; an empty header says nothing.
        if !value.is_empty() {
            self.0.push((key.to_ascii_lowercase(), value));
        }
    }
}

/// Lets any propagator write into `headers`, replacing what they held of its fields.
pub(crate) fn inject<H: HeaderEdit + ?Sized>(
    propagator: &dyn TextMapPropagator,
    cx: &Context,
    headers: &mut H,
) {
    let mut written = Written::default();
    propagator.inject_context(cx, &mut written);
    if written.0.is_empty() {
        return;
    }
    let mut stale: Vec<&str> = written.0.iter().map(|(name, _)| name.as_str()).collect();
    if cx.span().span_context().is_valid() {
        stale.extend(propagator.fields());
    }
    headers.remove(&stale);
    for (name, value) in &written.0 {
        headers.append(name, value);
    }
}

/// Lets any propagator read `headers`.
pub(crate) fn extract<H: HeaderView + ?Sized>(
    propagator: &dyn TextMapPropagator,
    cx: &Context,
    headers: &H,
) -> Context {
    let fields: Vec<&str> = propagator.fields().collect();
    propagator.extract_with_context(cx, &Readable::new(headers, &fields))
}

/// An `Extractor` as headers, as far as the named fields go.
pub(super) struct Extracted<'e> {
    pub(super) extractor: &'e dyn Extractor,
    pub(super) fields: &'static [&'static str],
}

impl HeaderView for Extracted<'_> {
    fn walk_back<'a>(&'a self, visit: &mut dyn FnMut(&'a [u8], Option<&'a [u8]>) -> ControlFlow<()>) {
        for field in self.fields {
            for value in self.extractor.get_all(field).into_iter().flatten().rev() {
                if visit(field.as_bytes(), Some(value.as_bytes())).is_break() {
                    return;
                }
            }
        }
    }
}

/// An `Injector` as headers. It cannot remove; setting replaces.
pub(super) struct Injected<'i>(pub(super) &'i mut dyn Injector);

impl HeaderEdit for Injected<'_> {
    fn remove(&mut self, _names: &[&str]) {}

    fn append(&mut self, name: &str, value: &str) {
        self.0.set(name, value.to_owned());
    }
}
