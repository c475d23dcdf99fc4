//! The span that the calling code runs in, wherever it is and whoever made it.

use std::borrow::Cow;
use std::cell::RefCell;

use opentelemetry::trace::{Event, SpanContext, Status, TraceContextExt};
use opentelemetry::{Context, Key, KeyValue, Value};

use super::leaf::innermost;
use super::local;
use super::side::Side;
use super::value::{FieldValue, text};

thread_local! {
    /// What was written to leaves that are open on this thread: they have no live cell.
    static LEAVES: RefCell<Vec<(u64, Side)>> = const { RefCell::new(Vec::new()) };
}

/// Where a write goes.
enum Target {
    /// OpenTelemetry's current span: ours, or one that somebody else made.
    Context,
    /// A leaf of ours, by its span id.
    Leaf(u64),
    /// An unsampled leaf, or a thread whose storage is gone.
    Nowhere,
}

fn target() -> Target {
    local::with(|local| {
        if local.stats().is_none() {
            return Target::Nowhere;
        }
        Context::map_current(|cx| match innermost(local, cx) {
            Some(leaf) if leaf.trace_flags & 1 != 0 => Target::Leaf(leaf.span),
            Some(_) => Target::Nowhere,
            None => Target::Context,
        })
    })
}

/// Writes to a leaf of this thread.
fn write_to_leaf(span: u64, change: impl FnOnce(&mut Side)) {
    let _ = LEAVES.try_with(|leaves| {
        if let Ok(mut leaves) = leaves.try_borrow_mut() {
            match leaves.iter_mut().find(|(id, _)| *id == span) {
                Some((_, side)) => change(side),
                None => {
                    let mut side = Side::default();
                    change(&mut side);
                    leaves.push((span, side));
                    local::with(|local| local.leaf_writes.set(true));
                }
            }
        }
    });
}

/// What was written to a leaf, which ends now.
pub(super) fn take_leaf(span: u64) -> Option<Side> {
    LEAVES
        .try_with(|leaves| {
            let mut leaves = leaves.try_borrow_mut().ok()?;
            let at = leaves.iter().position(|(id, _)| *id == span)?;
            let (_, side) = leaves.swap_remove(at);
            local::with(|local| local.leaf_writes.set(!leaves.is_empty()));
            Some(side)
        })
        .ok()
        .flatten()
}

/// Sets an attribute on the current span; an attribute of the same key is overwritten.
///
/// Acts on the innermost span, also on a `leaf` and on a span made by other means. Without a span it does nothing.
///
/// ```
/// throughline::set_attribute("cart.items", 3);
/// ```
pub fn set_attribute(key: impl Into<Key>, value: impl Into<Value>) {
    let attribute = KeyValue::new(key, value);
    match target() {
        Target::Context => current_span(|span| span.set_attribute(attribute)),
        Target::Leaf(id) => write_to_leaf(id, |side| side.set_attribute(attribute)),
        Target::Nowhere => {}
    }
}

/// Sets several attributes on the current span.
///
/// ```
/// use throughline::opentelemetry::KeyValue;
/// throughline::set_attributes([KeyValue::new("cart.items", 3), KeyValue::new("cart.currency", "EUR")]);
/// ```
pub fn set_attributes(attributes: impl IntoIterator<Item = KeyValue>) {
    for attribute in attributes {
        set_attribute(attribute.key, attribute.value);
    }
}

/// Adds an event, with the present time, to the current span.
///
/// ```
/// use throughline::opentelemetry::KeyValue;
/// throughline::add_event("cache.miss", [KeyValue::new("cache.key", "user:42")]);
/// ```
pub fn add_event(name: impl Into<Cow<'static, str>>, attributes: impl IntoIterator<Item = KeyValue>) {
    let attributes = attributes.into_iter().collect();
    match target() {
        Target::Context => current_span(|span| span.add_event(name, attributes)),
        Target::Leaf(id) => write_to_leaf(id, |side| {
            side.add_event(Event::new(name, std::time::SystemTime::now(), attributes, 0));
        }),
        Target::Nowhere => {}
    }
}

/// Marks the current span as failed: status Error with the error's text, and `error.type`, its type.
///
/// For an error that the function handles and does not return; a returned `Err` is recorded by itself.
///
/// ```
/// if let Err(error) = "x".parse::<u8>() {
///     throughline::record_error(&error);
/// }
/// ```
pub fn record_error<E: std::error::Error + ?Sized>(error: &E) {
    let description = text(format_args!("{error}"));
    let error_type = KeyValue::new("error.type", std::any::type_name::<E>());
    match target() {
        Target::Context => current_span(|span| {
            span.set_attribute(error_type);
            span.set_status(Status::error(description));
        }),
        Target::Leaf(id) => write_to_leaf(id, |side| {
            side.set_attribute(error_type);
            side.set_status(Status::error(description));
        }),
        Target::Nowhere => {}
    }
}

/// Gives the current span another name. Keep names few: ids belong in attributes.
///
/// ```
/// throughline::update_name("orders.import");
/// ```
pub fn update_name(name: impl Into<Cow<'static, str>>) {
    match target() {
        Target::Context => current_span(|span| span.update_name(name)),
        Target::Leaf(id) => write_to_leaf(id, |side| side.update_name(name.into())),
        Target::Nowhere => {}
    }
}

/// Adds a link to another span to the current one.
///
/// ```
/// # let other = throughline::opentelemetry::trace::SpanContext::NONE;
/// throughline::add_link(other);
/// ```
pub fn add_link(to: SpanContext) {
    match target() {
        Target::Context => current_span(|span| span.add_link(to, Vec::new())),
        Target::Leaf(id) => write_to_leaf(id, |side| side.add_link_to(to)),
        Target::Nowhere => {}
    }
}

/// The current trace id as 32 lowercase hex digits, as it stands in log lines; `None` outside a trace.
///
/// ```
/// assert_eq!(throughline::trace_id(), None);
/// ```
#[must_use]
pub fn trace_id() -> Option<String> {
    let current = span_context();
    current.is_valid().then(|| current.trace_id().to_string())
}

/// The current span id as 16 lowercase hex digits; `None` outside a span.
///
/// ```
/// assert_eq!(throughline::span_id(), None);
/// ```
#[must_use]
pub fn span_id() -> Option<String> {
    let current = span_context();
    current.is_valid().then(|| current.span_id().to_string())
}

/// The context of the innermost span, a `leaf` included; invalid outside a span.
#[must_use]
pub fn span_context() -> SpanContext {
    local::with(|local| {
        if local.stats().is_none() {
            return SpanContext::NONE;
        }
        Context::map_current(|cx| {
            let named =
                if cx.has_active_span() { cx.span().span_context().clone() } else { SpanContext::NONE };
            match innermost(local, cx) {
                Some(leaf) => leaf.to_span_context(named.trace_state().clone()),
                None => named,
            }
        })
    })
}

/// The current context, as a child or a message made here should see it: it names the innermost span, a `leaf`
/// included, and carries the baggage.
#[must_use]
pub fn context() -> Context {
    if !local::is_there() {
        return Context::new();
    }
    let cx = Context::current();
    let is_leaf = local::with(|local| innermost(local, &cx).is_some());
    if is_leaf { cx.with_remote_span_context(span_context()) } else { cx }
}

/// Whether the current span records: false without a span and in an unsampled trace.
#[must_use]
pub fn is_recording() -> bool {
    match target() {
        Target::Context => Context::map_current(|cx| cx.span().is_recording()),
        Target::Leaf(_) => true,
        Target::Nowhere => false,
    }
}

/// What `record!` expands to.
#[doc(hidden)]
pub fn record_value(key: &'static str, value: FieldValue) {
    if let Some(value) = value.into_value() {
        set_attribute(key, value);
    }
}

/// Runs outside of `map_current`: whoever made the span may call OpenTelemetry again from within.
fn current_span(write: impl FnOnce(&opentelemetry::trace::SpanRef<'_>)) {
    let cx = Context::current();
    if cx.has_active_span() {
        write(&cx.span());
    }
}
