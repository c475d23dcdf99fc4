//! The process span of a consumed message or batch.
//!
//! `#[kafka_consumer("name", group = "billing", context = parent, key = off, headers("x-tenant" = "app.tenant", "x-flow"))]`
//! expands like `#[traced_span]`, but for the call that opens the span (`RT` is `::throughline::__private`):
//!
//! ```text
//! static SITE: RT::Site = RT::Site::new("process", RT::Kind::Consumer, KEYS, SCOPE, file!(), line!(), ..);
//! let mut span = RT::Span::idle(&SITE);                                       // async: RT::OwnedSpan::idle(&SITE)
//! let mut measure = RT::kafka::Measure::idle();
//! if RT::kafka::enter(&mut span, &mut measure, &message, || RT::kafka::ProcessOptions::new()    // async: RT::kafka::open(..)
//!         .name("name")                                                       // positional name and `name = EXPR`
//!         .group("billing")
//!         .context(RT::kafka::ContextMode::Parent)
//!         .key(RT::kafka::KeyText::Off)
//!         .headers(const { &[RT::kafka::CapturedHeader::new("x-tenant", "app.tenant"),
//!                            RT::kafka::CapturedHeader::new("x-flow", "throughline.messaging.header.x-flow")] })
//! ) { RT::kafka::set(&mut span, &measure, 0, "task_id", &task_id); }
//! // from here on as in #[traced_span]: RT::kafka::{in_span, traced}((span, measure), ..)
//! ```
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

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{Link, SpanContext, TraceContextExt as _};
use opentelemetry::{Context, KeyValue};

use super::message::ConsumedMessage;
use super::metrics::{self, Measure, Measured};
use super::options::{ContextMode, ProcessOptions};
use super::record::Record;
use super::runner::running::{self, Claimed};
use super::{attributes, headers, known};
use crate::diagnostics;
use crate::propagation;
use crate::span::{self, MessageParent, Options, OwnedSpan, Span};

static OLD_RECORD_SEEN: AtomicBool = AtomicBool::new(false);

/// Begins the process span of a synchronous handler. True if it records.
pub fn enter<M, O>(span: &mut Span, measure: &mut Measure, message: &M, options: O) -> bool
where
    M: ConsumedMessage + ?Sized,
    O: FnOnce() -> ProcessOptions,
{
    if let Some(claimed) = running::claim(message, None) {
        return fill(claimed, measure, Some(message), options);
    }
    let Some(mut options) = wanted(options) else { return false };
    measure_single(measure, message, &options);
    if !span::on() {
        return false;
    }
    let now_ms = now_ms();
    let recording = span::enter_with(span, single(message, &mut options, now_ms));
    if recording {
        span.set_attributes(Details { message, options: &options, now_ms }.all());
    }
    recording
}

/// Begins the process span of an asynchronous handler; attaches nothing. True if it records.
pub fn open<M, O>(span: &mut OwnedSpan, measure: &mut Measure, message: &M, options: O) -> bool
where
    M: ConsumedMessage + ?Sized,
    O: FnOnce() -> ProcessOptions,
{
    if let Some(claimed) = running::claim(message, None) {
        return fill(claimed, measure, Some(message), options);
    }
    let Some(mut options) = wanted(options) else { return false };
    measure_single(measure, message, &options);
    if !span::on() {
        return false;
    }
    let now_ms = now_ms();
    let recording = span::open_with(span, single(message, &mut options, now_ms));
    if recording {
        span.set_attributes(Details { message, options: &options, now_ms }.all());
    }
    recording
}

/// Begins the process span of a synchronous handler of a batch. True if it records.
pub fn enter_batch<B, M, O>(span: &mut Span, measure: &mut Measure, messages: &B, options: O) -> bool
where
    B: AsRef<[M]> + ?Sized,
    M: ConsumedMessage,
    O: FnOnce() -> ProcessOptions,
{
    let messages = messages.as_ref();
    if let Some(claimed) = messages.first().and_then(|first| running::claim(first, Some(messages.len()))) {
        return fill(claimed, measure, None::<&M>, options);
    }
    begin_batch(measure, messages, options).is_some_and(|begin| span::enter_with(span, begin))
}

/// Begins the process span of an asynchronous handler of a batch; attaches nothing. True if it records.
pub fn open_batch<B, M, O>(span: &mut OwnedSpan, measure: &mut Measure, messages: &B, options: O) -> bool
where
    B: AsRef<[M]> + ?Sized,
    M: ConsumedMessage,
    O: FnOnce() -> ProcessOptions,
{
    let messages = messages.as_ref();
    if let Some(claimed) = messages.first().and_then(|first| running::claim(first, Some(messages.len()))) {
        return fill(claimed, measure, None::<&M>, options);
    }
    begin_batch(measure, messages, options).is_some_and(|begin| span::open_with(span, begin))
}

/// Begins the process span of a synchronous handler whose parameters are no message, such as a `T: KafkaMessage`: that of
/// the runner's attempt, or one that knows of no sender. True if it records.
pub fn enter_any(span: &mut Span, measure: &mut Measure, options: impl FnOnce() -> ProcessOptions) -> bool {
    if let Some(claimed) = running::claim_any() {
        return fill(claimed, measure, None::<&Record>, options);
    }
    begin_any(measure, options).is_some_and(|begin| span::enter_with(span, begin))
}

/// The same for an asynchronous handler; attaches nothing.
pub fn open_any(
    span: &mut OwnedSpan,
    measure: &mut Measure,
    options: impl FnOnce() -> ProcessOptions,
) -> bool {
    if let Some(claimed) = running::claim_any() {
        return fill(claimed, measure, None::<&Record>, options);
    }
    begin_any(measure, options).is_some_and(|begin| span::open_with(span, begin))
}

fn begin_any(measure: &mut Measure, options: impl FnOnce() -> ProcessOptions) -> Option<Options> {
    let measured = metrics::is_measured();
    if !span::on() && !measured {
        return None;
    }
    let mut options = options();
    if measured && options.metrics {
        let topic = options.topic.clone();
        measure.begin(u64::from(!options.counted), || self::measured(&options, topic));
    }
    span::on().then(|| {
        let topic = options.topic.take();
        let ambient = span::current::span_context().is_valid();
        let parent = match options.context {
            ContextMode::NewRoot => Parent::Root,
            _ if ambient => Parent::Ambient,
            _ => Parent::Root,
        };
        let given = known::common(&options, topic.as_deref());
        let links = std::mem::take(&mut options.links);
        begin(options, topic, parent.context(&Context::new(), false), given, links)
    })
}

/// The options, if anybody wants to know of the message: `None` where tracing is off and nothing is measured.
#[inline]
fn wanted(options: impl FnOnce() -> ProcessOptions) -> Option<ProcessOptions> {
    (span::on() || metrics::is_measured()).then(options)
}

/// Begins the measurement of a batch, and gives what the span begins with; `None` if tracing is off.
fn begin_batch<M, O>(measure: &mut Measure, messages: &[M], options: O) -> Option<Options>
where
    M: ConsumedMessage,
    O: FnOnce() -> ProcessOptions,
{
    let measured = metrics::is_measured();
    if !span::on() && !measured {
        return None;
    }
    let options = options();
    if measured {
        measure_batch(measure, messages, &options);
    }
    span::on().then(|| batch(messages, options))
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
    options: impl FnOnce() -> ProcessOptions,
) -> bool {
    if let ([record], false) = (records, is_batch) {
        let Some(mut options) = wanted(options) else { return false };
        measure_single(measure, record, &options);
        if !span::on() {
            return false;
        }
        let now_ms = now_ms();
        let recording = span::open_with(span, single(record, &mut options, now_ms));
        if recording {
            span.set_attributes(Details { message: record, options: &options, now_ms }.place());
        }
        return recording;
    }
    begin_batch(measure, records, options).is_some_and(|begin| span::open_with(span, begin))
}

/// Records on the current span what no annotated handler has recorded.
pub(super) fn complete_attempt(record: &Record, options: &ProcessOptions) {
    span::current::set_attributes(Details { message: record, options, now_ms: 0 }.chosen());
}

/// Writes what the arguments say to the process span of the runner's attempt (kafka.md section 3.1, `run`). Whose child it
/// is, its links and its scope were decided when it began. True if it records.
fn fill<M, O>(claimed: Claimed, measure: &mut Measure, message: Option<&M>, options: O) -> bool
where
    M: ConsumedMessage + ?Sized,
    O: FnOnce() -> ProcessOptions,
{
    let recording = claimed.is_recording();
    if recording {
        let options = options();
        if let Some(message) = message {
            let details = Details { message, options: &options, now_ms: 0 };
            details.chosen().for_each(|kv| claimed.set_attribute(kv));
        }
        let ProcessOptions { name, operation, topic, template, group, client_id, .. } = options;
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

/// kafka.md M-3, M-4; an attempt that is not the first, or a message that `TracedConsumer` counted, is not counted again.
fn measure_single<M: ConsumedMessage + ?Sized>(measure: &mut Measure, message: &M, options: &ProcessOptions) {
    if !options.metrics || !metrics::is_measured() {
        return;
    }
    let counts = !options.counted && !message.is_counted();
    let measured = || {
        let topic = options.topic.clone().unwrap_or_else(|| Cow::Owned(message.topic().to_owned()));
        Measured { partition: Some(message.partition()), ..measured(options, Some(topic)) }
    };
    measure.begin(u64::from(counts), measured);
    if let Some(waited) = waited(message, options) {
        metrics::queue(waited, measured);
    }
}

fn measure_batch<M: ConsumedMessage>(measure: &mut Measure, messages: &[M], options: &ProcessOptions) {
    if !options.metrics {
        return;
    }
    let counted = messages.iter().filter(|message| !options.counted && !message.is_counted()).count();
    measure.begin(u64::try_from(counted).unwrap_or(u64::MAX), || {
        let same = Same::of(messages);
        let topic = options.topic.clone();
        let topic = topic.or_else(|| same.topic.map(|message| Cow::Owned(message.topic().to_owned())));
        Measured { partition: same.partition.map(ConsumedMessage::partition), ..measured(options, topic) }
    });
    for message in messages {
        if let Some(waited) = waited(message, options) {
            let topic = options.topic.clone().unwrap_or_else(|| Cow::Owned(message.topic().to_owned()));
            let partition = Some(message.partition());
            metrics::queue(waited, || Measured { partition, ..measured(options, Some(topic)) });
        }
    }
}

/// How long a message waited in the broker, unless an attempt before this one said so.
fn waited<M: ConsumedMessage + ?Sized>(message: &M, options: &ProcessOptions) -> Option<Duration> {
    let is_asked = options.queue_time && !options.counted;
    is_asked.then(|| queue_ms(message.timestamp_ms(), now_ms()))?.map(Duration::from_millis)
}

fn measured(options: &ProcessOptions, topic: Option<Cow<'static, str>>) -> Measured<'static> {
    Measured {
        operation: options.operation.clone(),
        kind: "process",
        topic,
        template: options.template.clone(),
        group: options.group.clone(),
        partition: None,
        server: options.server.clone(),
        error_type: None,
    }
}

/// The first message of a batch, where it stands for all of them.
struct Same<'m, M> {
    topic: Option<&'m M>,
    partition: Option<&'m M>,
}

impl<'m, M: ConsumedMessage> Same<'m, M> {
    fn of(messages: &'m [M]) -> Self {
        let first = messages.first();
        let topic = first.filter(|first| messages.iter().all(|message| message.topic() == first.topic()));
        let partition =
            topic.filter(|first| messages.iter().all(|message| message.partition() == first.partition()));
        Same { topic, partition }
    }
}

/// What is recorded beyond what samplers see; built only if the span records.
struct Details<'m, M: ConsumedMessage + ?Sized> {
    message: &'m M,
    options: &'m ProcessOptions,
    now_ms: i64,
}

impl<M: ConsumedMessage + ?Sized> Details<'_, M> {
    /// Everything.
    fn all(&self) -> impl Iterator<Item = KeyValue> {
        self.place().chain(self.chosen())
    }

    /// kafka.md A-7, A-10, section 3.5: what does not depend on the user's words.
    fn place(&self) -> impl Iterator<Item = KeyValue> {
        let tombstone = self.message.value_bytes().is_none();
        let waited =
            self.options.queue_time.then(|| queue_time(self.message.timestamp_ms(), self.now_ms)).flatten();
        let offset = attributes::offset(self.message.offset()).into_iter();
        offset.chain(tombstone.then(|| KeyValue::new(attributes::TOMBSTONE, true))).chain(waited)
    }

    /// kafka.md A-9, A-13, A-15.
    fn chosen(&self) -> impl Iterator<Item = KeyValue> {
        let key = attributes::key(self.message.key(), self.options.key).into_iter();
        let size = self.message.value_bytes().filter(|_| self.options.sizes).map(attributes::body_size);
        let named = [
            (self.options.message_id, attributes::MESSAGE_ID),
            (self.options.conversation_id, attributes::CONVERSATION_ID),
        ];
        let named = named.into_iter().filter_map(|(header, attribute)| Some((header?, attribute)));
        let captured = self.options.headers.iter().map(|captured| (captured.header, captured.attribute));
        let headers = named.chain(captured).filter_map(|(header, attribute)| {
            headers::captured(self.message.header_view(), header, attribute)
        });
        key.chain(size).chain(headers)
    }
}

/// Time from the record's timestamp to now in milliseconds; absent for a timestamp that says nothing, zero for one in
/// the future.
fn queue_time(timestamp_ms: Option<i64>, now_ms: i64) -> Option<KeyValue> {
    let waited = i64::try_from(queue_ms(timestamp_ms, now_ms)?).unwrap_or(i64::MAX);
    Some(KeyValue::new(attributes::QUEUE_TIME, waited))
}

fn queue_ms(timestamp_ms: Option<i64>, now_ms: i64) -> Option<u64> {
    let waited = now_ms.saturating_sub(timestamp_ms.filter(|ms| *ms > 0)?);
    Some(u64::try_from(waited).unwrap_or(0))
}

fn now_ms() -> i64 {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}

fn single<M: ConsumedMessage + ?Sized>(message: &M, options: &mut ProcessOptions, now_ms: i64) -> Options {
    let remote = message.creation_context();
    let remote_span = remote.span();
    let creation = remote_span.span_context();
    let given = match options.topic.as_deref() {
        Some(topic) => known::given(options, topic, message.partition()),
        None => known::given(options, message.topic(), message.partition()),
    };
    let structure = Structure::of(options, creation, message.timestamp_ms(), now_ms);
    let continues = matches!(structure.parent, Parent::Creation);
    let parent = structure.parent.context(&remote, options.baggage);
    let mut links = std::mem::take(&mut options.links);
    let parent = if continues {
        // The link to the creation context is one to the parent, which the record has.
        MessageParent::Continued(creation.clone(), parent)
    } else {
        if creation.is_valid() {
            links.insert(0, Link::with_context(creation.clone()));
        }
        MessageParent::Other(parent)
    };
    links.extend(structure.link.map(Link::with_context));
    Options::of_message(given, parent, links, options.name.take(), options.scope.take())
}

fn batch<M: ConsumedMessage>(messages: &[M], mut options: ProcessOptions) -> Options {
    let Same { topic: same_topic, partition: same_partition } = Same::of(messages);
    let topic =
        options.topic.take().or_else(|| same_topic.map(|message| Cow::Owned(message.topic().to_owned())));
    let mut links = batch_links(messages, &options, same_topic.is_none(), same_partition.is_none());
    links.append(&mut options.links);
    let ambient = span::current::span_context();
    let parent = match options.context {
        ContextMode::NewRoot => {
            if ambient.is_valid() {
                links.push(Link::with_context(ambient));
            }
            Parent::Root
        }
        // A batch has no one creation context to be a child of (kafka.md C-4).
        _ if ambient.is_valid() => Parent::Ambient,
        _ => Parent::Root,
    };
    let mut given = known::common(&options, topic.as_deref());
    given.extend(same_partition.and_then(|message| attributes::partition(message.partition())));
    given.push(KeyValue::new(attributes::BATCH_COUNT, i64::try_from(messages.len()).unwrap_or(i64::MAX)));
    // Baggage of different senders cannot be current at once.
    begin(options, topic, parent.context(&Context::new(), false), given, links)
}

/// Links to the creation contexts of a batch (kafka.md A-17, C-1, C-4): those that fit the limit come first, so that
/// the others are what the span counts as dropped.
fn batch_links<M: ConsumedMessage>(
    messages: &[M],
    options: &ProcessOptions,
    topics: bool,
    partitions: bool,
) -> Vec<Link> {
    let limit = usize::try_from(span::limits::current().links).unwrap_or(usize::MAX);
    let mut created: Vec<(&M, SpanContext)> = messages
        .iter()
        .map(|message| (message, message.creation_context().span().span_context().clone()))
        .filter(|(_, creation)| creation.is_valid())
        .collect();
    if created.len() > limit {
        let mut seen = std::collections::HashSet::new();
        created.retain(|(_, creation)| seen.insert((creation.trace_id(), creation.span_id())));
    }
    let count = created.len();
    let kept = |index: usize| match limit {
        _ if count <= limit => true,
        0 => false,
        1 => index == 0,
        // The evenly spaced picks n * (count - 1) / (limit - 1), rounded down, first and last among them.
        _ => {
            let pick = (index * (limit - 1)).div_ceil(count - 1);
            pick * (count - 1) / (limit - 1) == index
        }
    };
    let now_ms = now_ms();
    let (mut chosen, mut dropped) = (Vec::with_capacity(count.min(limit)), Vec::new());
    for (index, (message, creation)) in created.into_iter().enumerate() {
        if !kept(index) {
            dropped.push(Link::with_context(creation));
            continue;
        }
        let mut all = Vec::with_capacity(5);
        all.extend(attributes::offset(message.offset()));
        all.extend(attributes::key(message.key(), options.key));
        if partitions {
            all.extend(attributes::partition(message.partition()));
        }
        if topics {
            all.push(KeyValue::new(attributes::DESTINATION, message.topic().to_owned()));
        }
        if message.value_bytes().is_none() {
            all.push(KeyValue::new(attributes::TOMBSTONE, true));
        }
        if options.queue_time {
            all.extend(queue_time(message.timestamp_ms(), now_ms));
        }
        chosen.push(Link::new(creation, all, 0));
    }
    chosen.append(&mut dropped);
    chosen
}

fn begin(
    options: ProcessOptions,
    topic: Option<Cow<'static, str>>,
    parent: Context,
    given: Vec<KeyValue>,
    links: Vec<Link>,
) -> Options {
    // kafka.md S-1.
    let name = options.name.unwrap_or_else(|| match options.template.or(topic) {
        Some(destination) => Cow::Owned(format!("{} {destination}", options.operation)),
        None => options.operation,
    });
    let begun = Options::new().name(name).parent(parent).attributes(given).links(links);
    match options.scope {
        Some(scope) => begun.scope(scope),
        None => begun,
    }
}

/// Where a process span hangs.
enum Parent {
    Creation,
    Ambient,
    Root,
}

impl Parent {
    /// The context that the span begins under: everything that is current here, with the chosen parent.
    fn context(&self, remote: &Context, baggage: bool) -> Context {
        let current = span::current::context();
        let cx = match self {
            // Without the span, which goes beside it.
            Parent::Creation => propagation::with_state_of(current, remote),
            Parent::Ambient => current,
            Parent::Root => current.with_remote_span_context(SpanContext::NONE),
        };
        if baggage { propagation::with_baggage_of(cx, remote) } else { cx }
    }
}

struct Structure {
    parent: Parent,
    /// The ambient span, where it is not the parent.
    link: Option<SpanContext>,
}

impl Structure {
    /// kafka.md C-1, C-2 and the table of section 3.1.
    fn of(options: &ProcessOptions, creation: &SpanContext, timestamp_ms: Option<i64>, now_ms: i64) -> Self {
        let ambient = span::current::span_context();
        let under = ambient.is_valid();
        let continues = creation.is_valid() && !is_too_old(options, timestamp_ms, now_ms);
        let parent = match options.context {
            ContextMode::NewRoot => Parent::Root,
            ContextMode::Parent if continues => Parent::Creation,
            _ if under => Parent::Ambient,
            ContextMode::ParentOrLink if continues => Parent::Creation,
            _ => Parent::Root,
        };
        let link = (under && !matches!(parent, Parent::Ambient)).then_some(ambient);
        Structure { parent, link }
    }
}

fn is_too_old(options: &ProcessOptions, timestamp_ms: Option<i64>, now_ms: i64) -> bool {
    let (Some(limit), Some(sent)) = (options.parent_max_age, timestamp_ms.filter(|ms| *ms > 0)) else {
        return false;
    };
    let age = now_ms.saturating_sub(sent);
    let too_old = u128::try_from(age).is_ok_and(|age| age > limit.as_millis());
    if too_old && !OLD_RECORD_SEEN.swap(true, Ordering::Relaxed) {
        diagnostics::info(format_args!(
            "a record is {age} ms old, more than parent_max_age ({limit:?}): its span is linked to the sender's, not \
             its child; this is said once"
        ));
    }
    too_old
}
