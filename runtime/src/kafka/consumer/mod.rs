//! The process span of a consumed message or batch.
//!
//! `#[kafka_consumer("name", group = "billing", context = parent, key = off, headers("x-tenant" = "app.tenant", "x-flow"))]`
//! expands like `#[traced_span]`, but for the call that opens the span (`RT` is `::throughline::__private`):
//!
//! ```text
//! static SITE: RT::Site = RT::Site::new("process", RT::Kind::Consumer, KEYS, SCOPE, file!(), line!(), ..);
//! let mut span = RT::Span::idle(&SITE);                                       // async: RT::OwnedSpan::idle(&SITE)
//! let mut measure = RT::kafka::Measure::idle();
//! if RT::kafka::enter(&mut span, &mut measure, &message, {                    // async: RT::kafka::open(..)
//!     static OPTIONS: RT::kafka::ConstantOptions = RT::kafka::ConstantOptions::new(|| RT::kafka::ProcessOptions::new()
//!         .name("name")                                                       // positional name and `name = EXPR`
//!         .group("billing")
//!         .context(RT::kafka::ContextMode::Parent)
//!         .key(RT::kafka::KeyText::Off)
//!         .headers(const { &[RT::kafka::CapturedHeader::new("x-tenant", "app.tenant"),
//!                            RT::kafka::CapturedHeader::new("x-flow", "throughline.messaging.header.x-flow")] }));
//!     &OPTIONS
//! }) { RT::kafka::set(&mut span, &measure, 0, "task_id", &task_id); }
//! // from here on as in #[traced_span]: RT::kafka::{in_span, traced}((&mut span, measure), ..)
//! ```
//!
//! Where an argument is an expression, what is handed over is the closure itself: `|| RT::kafka::ProcessOptions::new()..`.
//!
//! Inside a process span of the runner, `enter` and `open` begin none: they note in `measure` that this one is filled, and
//! fields and outcome go there. With `run(..)`, a function without a message among its parameters calls `enter_any` or
//! `open_any`, which take none.
//!
//! | argument | call |
//! |---|---|
//! | `topic`, `group`, `client_id`, `template`, `operation` `= EXPR` | `.topic(EXPR)` and so on, `Into<Cow<'static, str>>` |
//! | `context = parent_or_link, link, parent, new_root` | `.context(RT::kafka::ContextMode::{ParentOrLink, Link, Parent, NewRoot})` |
//! | `parent_max_age = "1h"`, `none` | `.parent_max_age(Some(RT::Duration::from_millis(3_600_000)))`, `.parent_max_age(None)` |
//! | `key = utf8(max = 64)`, `off`, `with(path)` | `.key(RT::kafka::KeyText::Utf8 { max_bytes: 64 })`, `::Off`, `::With(path)` |
//! | `message_id`, `conversation_id = "header"` | `.message_id("header")`, `.conversation_id("header")` |
//! | `baggage = attach`, `off`; `queue_time`, `metrics`, `sizes` `= on`, `off` | `.baggage(true)` and so on |
//! | `links = EXPR`, `scope = EXPR` | `.links(EXPR)`, `.scope(EXPR)` as in `RT::Options` |
//!
//! `&message` is a reference to the parameter as written, so it may be a reference to a reference: `enter` and `open`
//! take `&M` with `M: ConsumedMessage`, which is implemented for `BorrowedMessage`, `OwnedMessage`, `Record<T>` and references,
//! boxes and `Arc`s of them. For a batch the call is `RT::kafka::enter_batch(&mut span, &mut measure, &messages, || ..)` or
//! `RT::kafka::open_batch(..)` with `B: AsRef<[M]>`, so `&[M]` and `Vec<M>` go in as they are written.

mod begin;
mod details;
mod measure;
mod said;
mod structure;

use std::borrow::Cow;

use opentelemetry::{Context, KeyValue};

pub(super) use self::details::WORDING;
pub use self::said::{ConstantOptions, HandlerOptions};

use self::begin::{Begins, batch, begin, single};
use self::details::Asker;
use self::measure::{measure_batch, measure_single, measured};
use self::structure::Parent;
use super::message::ConsumedMessage;
use super::metrics::{self, Measure};
use super::options::{ContextMode, ProcessOptions};
use super::record::Record;
use super::runner::running::{self, Claimed};
use super::{attributes, known};
use crate::span::message::MessagePlace;
use crate::span::{self, OwnedSpan, Span};

/// Begins the process span of a synchronous handler. True if it records.
#[inline]
pub fn enter<M, O>(span: &mut Span, measure: &mut Measure, message: &M, options: O) -> bool
where
    M: ConsumedMessage + ?Sized,
    O: HandlerOptions,
{
    of_message(span, measure, message, options)
}

/// Begins the process span of an asynchronous handler; attaches nothing. True if it records.
#[inline]
pub fn open<M, O>(span: &mut OwnedSpan, measure: &mut Measure, message: &M, options: O) -> bool
where
    M: ConsumedMessage + ?Sized,
    O: HandlerOptions,
{
    of_message(span, measure, message, options)
}

/// Whether anybody may want to know of a handler: what a program without tracing, metrics and runner pays for each call.
#[inline]
fn is_of_interest() -> bool {
    span::on() || running::was_ever() || metrics::is_measured()
}

/// Fills the span of the runner's attempt, or begins span and measurement, whichever of them somebody wants.
#[inline]
fn of_message<S, M, O>(span: &mut S, measure: &mut Measure, message: &M, options: O) -> bool
where
    S: Begins,
    M: ConsumedMessage + ?Sized,
    O: HandlerOptions,
{
    is_of_interest() && begin_message(span, measure, message, options)
}

#[inline(never)]
fn begin_message<S, M, O>(span: &mut S, measure: &mut Measure, message: &M, options: O) -> bool
where
    S: Begins,
    M: ConsumedMessage + ?Sized,
    O: HandlerOptions,
{
    if let Some(claimed) = running::claim(message, None) {
        return fill(claimed, measure, Some(message), options);
    }
    let (on, measured) = (span::on(), metrics::is_measured());
    if !on && !measured {
        return false;
    }
    let options = options.said();
    let asker = Asker::Handler { first: options.first() };
    if measured {
        measure_single(measure, message, &options);
    }
    on && single(span, message, &options, asker)
}

/// Begins the process span of a synchronous handler of a batch. True if it records.
pub fn enter_batch<B, M, O>(span: &mut Span, measure: &mut Measure, messages: &B, options: O) -> bool
where
    B: AsRef<[M]> + ?Sized,
    M: ConsumedMessage,
    O: HandlerOptions,
{
    of_batch(span, measure, messages.as_ref(), options)
}

/// Begins the process span of an asynchronous handler of a batch; attaches nothing. True if it records.
pub fn open_batch<B, M, O>(span: &mut OwnedSpan, measure: &mut Measure, messages: &B, options: O) -> bool
where
    B: AsRef<[M]> + ?Sized,
    M: ConsumedMessage,
    O: HandlerOptions,
{
    of_batch(span, measure, messages.as_ref(), options)
}

/// Begins the process span of a synchronous handler whose parameters are no message, such as a `T: KafkaMessage`: that of
/// the runner's attempt, or one that knows of no sender. True if it records.
#[inline]
pub fn enter_any(span: &mut Span, measure: &mut Measure, options: impl HandlerOptions) -> bool {
    of_any(span, measure, options)
}

/// The same for an asynchronous handler; attaches nothing.
#[inline]
pub fn open_any(span: &mut OwnedSpan, measure: &mut Measure, options: impl HandlerOptions) -> bool {
    of_any(span, measure, options)
}

#[inline]
fn of_any<S: Begins>(span: &mut S, measure: &mut Measure, options: impl HandlerOptions) -> bool {
    is_of_interest() && begin_any(span, measure, options)
}

fn begin_any<S: Begins>(span: &mut S, measure: &mut Measure, options: impl HandlerOptions) -> bool {
    if let Some(claimed) = running::claim_any() {
        return fill(claimed, measure, None::<&Record>, options);
    }
    let (on, measured) = (span::on(), metrics::is_measured());
    if !on && !measured {
        return false;
    }
    let options = options.said();
    let topic = options.topic.as_deref();
    if measured && options.metrics {
        let topic = options.topic.clone();
        measure.begin(u64::from(!options.counted), || self::measured(&options, topic));
    }
    if !on {
        return false;
    }
    let ambient = span::current::span_context().is_valid();
    let parent = match options.context {
        ContextMode::NewRoot => Parent::Root,
        _ if ambient => Parent::Ambient,
        _ => Parent::Root,
    };
    let given = known::common(&options, topic);
    let links = options.links.clone();
    span.begin_with(begin(&options, topic, parent.context(&Context::new(), false), given, links))
}

fn of_batch<S, M, O>(span: &mut S, measure: &mut Measure, messages: &[M], options: O) -> bool
where
    S: Begins,
    M: ConsumedMessage,
    O: HandlerOptions,
{
    if let Some(claimed) = messages.first().and_then(|first| running::claim(first, Some(messages.len()))) {
        return fill(claimed, measure, None::<&M>, options);
    }
    let (on, measured) = (span::on(), metrics::is_measured());
    if !on && !measured {
        return false;
    }
    let options = options.said();
    if measured {
        measure_batch(measure, messages, &options);
    }
    on && span.begin_with(batch(messages, &options))
}

/// Begins the process span of one attempt of the runner. True if it records.
///
/// What the handler may say otherwise by an attribute of its own, such as that keys are not recorded, is left to
/// [`complete_attempt`].
pub(super) fn open_attempt(
    span: &mut OwnedSpan,
    measure: &mut Measure,
    records: &[Record],
    is_batch: bool,
    options: &ProcessOptions,
    attempt: u32,
) -> bool {
    let (on, measured) = (span::on(), metrics::is_measured());
    if let ([record], false) = (records, is_batch) {
        if measured {
            measure_single(measure, record, options);
        }
        return on && single(span, record, options, Asker::Runner { attempt });
    }
    if measured {
        measure_batch(measure, records, options);
    }
    let recording = on && span::open_with(span, batch(records, options));
    if recording {
        span.set_attributes([details::delivery_attempt(u64::from(attempt))]);
    }
    recording
}

/// Records on the current span what no annotated handler has recorded. `place`: where that span tells of its message.
pub(super) fn complete_attempt(record: &Record, options: &ProcessOptions, place: Option<MessagePlace>) {
    let Some(place) = place else {
        return span::current::set_attributes(details::chosen(record, options));
    };
    if let Some(key) = attributes::short_key(record.key(), options.key) {
        place.add_key(key);
    }
    if details::asks_for_more(record, options) {
        span::current::set_attributes(details::asked_for(record, options));
    }
}

/// Writes what the arguments say to the process span of the runner's attempt (kafka.md section 3.1, `run`). Whose child it
/// is, its links and its scope were decided when it began. True if it records.
fn fill<M, O>(claimed: Claimed, measure: &mut Measure, message: Option<&M>, options: O) -> bool
where
    M: ConsumedMessage + ?Sized,
    O: HandlerOptions,
{
    let recording = claimed.is_recording();
    if recording {
        let options = options.said();
        if let Some(message) = message {
            details::chosen(message, &options).for_each(|kv| claimed.set_attribute(kv));
        }
        let ProcessOptions { name, operation, topic, template, group, client_id, .. } = options.into_owned();
        let destination = template.clone().or_else(|| topic.clone());
        let named = |value: Option<Cow<'static, str>>, key| value.map(|value| KeyValue::new(key, value));
        let given = [
            named(topic, attributes::DESTINATION),
            named(template, attributes::TEMPLATE),
            named(group, attributes::GROUP),
            named(client_id, attributes::CLIENT_ID),
            named((operation != "process").then(|| operation.clone()), attributes::OPERATION_NAME),
        ];
        given.into_iter().flatten().for_each(|kv| claimed.set_attribute(kv));
        match (name, destination) {
            (Some(name), _) => claimed.update_name(name),
            (None, Some(destination)) => claimed.update_name(format!("{operation} {destination}").into()),
            (None, None) if operation != "process" => {
                let topic = message.map_or("", |message| message.topic());
                claimed.update_name(format!("{operation} {topic}").trim_end().to_owned().into());
            }
            (None, None) => {}
        }
    }
    measure.fills(claimed);
    recording
}
