//! What a process span begins with: name, parent, links, and the attributes that samplers see.

use std::borrow::Cow;

use opentelemetry::trace::{Link, SpanContext, TraceContextExt as _};
use opentelemetry::{Context, KeyValue};

use super::details::{now_ms, queue_time};
use super::structure::{Parent, Structure};
use crate::kafka::message::ConsumedMessage;
use crate::kafka::options::{ContextMode, ProcessOptions};
use crate::kafka::{attributes, known};
use crate::span::{self, MessageParent, Options};

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

pub(super) fn single<M: ConsumedMessage + ?Sized>(
    message: &M,
    options: &mut ProcessOptions,
    now_ms: i64,
) -> Options {
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

pub(super) fn batch<M: ConsumedMessage>(messages: &[M], mut options: ProcessOptions) -> Options {
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

pub(super) fn begin(
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
