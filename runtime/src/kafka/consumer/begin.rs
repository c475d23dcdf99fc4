//! What a process span begins with: name, parent, links, and the attributes that samplers see.

use opentelemetry::trace::{Link, SpanContext, TraceContextExt as _};
use opentelemetry::{Context, KeyValue};

use super::details::{self, Asker, WORDING, asked_for, asks_for_more, queue_time};
use super::structure::{Parent, Structure, is_too_old};
use crate::kafka::message::ConsumedMessage;
use crate::kafka::options::{ContextMode, ProcessOptions};
use crate::kafka::{attributes, known};
use crate::propagation::{Came, Traceparent};
use crate::span::message::{Details, Given, Message};
use crate::span::{self, MessageParent, OfMessage, Options, OwnedSpan, Span, clock};

/// The first message of a batch, where it stands for all of them.
pub(super) struct Same<'m, M> {
    pub(super) topic: Option<&'m M>,
    pub(super) partition: Option<&'m M>,
}

impl<'m, M: ConsumedMessage> Same<'m, M> {
    pub(super) fn of(messages: &'m [M]) -> Self {
        let first = messages.first();
        let topic = first.filter(|first| messages.iter().all(|message| message.topic() == first.topic()));
        let partition =
            topic.filter(|first| messages.iter().all(|message| message.partition() == first.partition()));
        Same { topic, partition }
    }
}

/// A span that can be begun for a message.
pub(super) trait Begins {
    /// Below a sender that is not sampled; see [`span::open_unsampled`].
    fn begin_unsampled(&mut self, sender: Traceparent) -> Option<bool>;
    /// Below its sender's, or as a root; see [`span::open_message`].
    fn begin_message(
        &mut self,
        sender: Option<Traceparent>,
        given: &'static Given,
        message: &Message<'_>,
    ) -> Option<bool>;
    /// As the options say. True if it records.
    fn begin_with(&mut self, options: Options) -> bool;
    fn add(&mut self, attributes: impl Iterator<Item = KeyValue>);
}

impl Begins for Span {
    fn begin_unsampled(&mut self, sender: Traceparent) -> Option<bool> {
        span::enter_unsampled_message(self, sender)
    }
    fn begin_message(
        &mut self,
        sender: Option<Traceparent>,
        given: &'static Given,
        message: &Message<'_>,
    ) -> Option<bool> {
        span::enter_message(self, sender, given, message)
    }
    fn begin_with(&mut self, options: Options) -> bool {
        span::enter_with(self, options)
    }
    fn add(&mut self, attributes: impl Iterator<Item = KeyValue>) {
        self.set_attributes(attributes);
    }
}

impl Begins for OwnedSpan {
    fn begin_unsampled(&mut self, sender: Traceparent) -> Option<bool> {
        span::open_unsampled(self, sender)
    }
    fn begin_message(
        &mut self,
        sender: Option<Traceparent>,
        given: &'static Given,
        message: &Message<'_>,
    ) -> Option<bool> {
        span::open_message(self, sender, given, message)
    }
    fn begin_with(&mut self, options: Options) -> bool {
        span::open_with(self, options)
    }
    fn add(&mut self, attributes: impl Iterator<Item = KeyValue>) {
        self.set_attributes(attributes);
    }
}

/// Begins the process span of a message. True if it records.
pub(super) fn single<S: Begins, M: ConsumedMessage + ?Sized>(
    span: &mut S,
    message: &M,
    options: &ProcessOptions,
    asker: Asker,
) -> bool {
    let now_ms = clock::wall_ms();
    let came = message.sender().0;
    let plain = match came {
        Came::Only(sender) if is_plain(options, sender, message.timestamp_ms(), now_ms) => Some(sender),
        _ => None,
    };
    if let Some(Some(sender)) = plain
        && !sender.flags.is_sampled()
        && let Some(recording) = span.begin_unsampled(sender)
    {
        return recording;
    }
    let told = details::in_place(message, options, now_ms, asker);
    let first = if let Asker::Handler { first } = asker { first } else { None };
    let given = known::given(options, first, options.topic.as_deref().unwrap_or_else(|| message.topic()));
    let quick = match (plain, given) {
        (Some(sender), Some(given)) => span.begin_message(sender, given, &told),
        _ => None,
    };
    let recording = match (quick, given) {
        (Some(recording), _) => recording,
        (None, Some(given)) => {
            let (parent, links) = structure(&came.into_context(), message, options, now_ms);
            let (name, scope) = (options.name.clone(), options.scope.clone());
            span.begin_with(Options::of_message(OfMessage {
                given,
                message: &told,
                parent,
                links,
                name,
                scope,
            }))
        }
        (None, None) => unknown(span, &told, &came.into_context(), message, options, now_ms),
    };
    if recording && matches!(asker, Asker::Handler { .. }) && asks_for_more(message, options) {
        span.add(asked_for(message, options));
    }
    recording
}

/// Whether the message and what is said about its span leave nothing to be decided but by the sampler.
#[inline]
fn is_plain(
    options: &ProcessOptions,
    sender: Option<Traceparent>,
    timestamp_ms: Option<i64>,
    now_ms: i64,
) -> bool {
    let is_parent = matches!(options.context, ContextMode::ParentOrLink | ContextMode::Parent);
    options.links.is_empty()
        && options.name.is_none()
        && options.scope.is_none()
        && (sender.is_none() || is_parent && !is_too_old(options, timestamp_ms, now_ms))
}

/// Whose child the span is, and its links besides one to its parent.
fn structure<M: ConsumedMessage + ?Sized>(
    remote: &Context,
    message: &M,
    options: &ProcessOptions,
    now_ms: i64,
) -> (MessageParent, Vec<Link>) {
    let remote_span = remote.span();
    let creation = remote_span.span_context();
    let structure = Structure::of(options, creation, message.timestamp_ms(), now_ms);
    let continues = matches!(structure.parent, Parent::Creation);
    let parent = structure.parent.context(remote, options.baggage);
    let mut links = options.links.clone();
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
    (parent, links)
}

/// A span of one handler or topic more than there is room for among those whose spans share what they have in common.
#[cold]
fn unknown<S: Begins, M: ConsumedMessage + ?Sized>(
    span: &mut S,
    told: &Message<'_>,
    remote: &Context,
    message: &M,
    options: &ProcessOptions,
    now_ms: i64,
) -> bool {
    let (parent, mut links) = structure(remote, message, options, now_ms);
    let parent = match parent {
        MessageParent::Continued(creation, cx) => {
            links.insert(0, Link::with_context(creation.clone()));
            cx.with_remote_span_context(creation)
        }
        MessageParent::Other(cx) => cx,
    };
    let topic = options.topic.as_deref().unwrap_or_else(|| message.topic());
    let mut given = known::common(options, Some(topic));
    let details = Details::of(told, false);
    (WORDING.at_start)(&details, &mut given);
    let recording = span.begin_with(begin(options, Some(topic), parent, given, links));
    if recording {
        let mut rest = Vec::new();
        (WORDING.later)(&details, &mut rest);
        span.add(rest.into_iter());
    }
    recording
}

pub(super) fn batch<M: ConsumedMessage>(messages: &[M], options: &ProcessOptions) -> Options {
    let Same { topic: same_topic, partition: same_partition } = Same::of(messages);
    let topic = options.topic.as_deref().or_else(|| same_topic.map(ConsumedMessage::topic));
    let mut links = batch_links(messages, options, same_topic.is_none(), same_partition.is_none());
    links.extend_from_slice(&options.links);
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
    let mut given = known::common(options, topic);
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
    let now_ms = clock::wall_ms();
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

pub(super) fn begin(
    options: &ProcessOptions,
    topic: Option<&str>,
    parent: Context,
    given: Vec<KeyValue>,
    links: Vec<Link>,
) -> Options {
    let name = options.name.clone().unwrap_or_else(|| known::name(options, topic));
    let begun = Options::new().name(name).parent(parent).attributes(given).links(links);
    match &options.scope {
        Some(scope) => begun.scope(scope),
        None => begun,
    }
}
