//! What the metrics of the conventions take of a process span (kafka.md M-3, M-4) and how long its message had waited.

use std::borrow::Cow;
use std::time::Duration;

use super::begin::Same;
use super::details::queue_ms;
use crate::kafka::message::ConsumedMessage;
use crate::kafka::metrics::{self, Measure, Measured};
use crate::kafka::options::ProcessOptions;
use crate::span::clock;

/// kafka.md M-3, M-4; an attempt that is not the first, or a message that `TracedConsumer` counted, is not counted again.
pub(super) fn measure_single<M: ConsumedMessage + ?Sized>(
    measure: &mut Measure,
    message: &M,
    options: &ProcessOptions,
) {
    if !options.metrics {
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

pub(super) fn measure_batch<M: ConsumedMessage>(
    measure: &mut Measure,
    messages: &[M],
    options: &ProcessOptions,
) {
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
    is_asked.then(|| queue_ms(message.timestamp_ms(), clock::wall_ms()))?.map(Duration::from_millis)
}

pub(super) fn measured(options: &ProcessOptions, topic: Option<Cow<'static, str>>) -> Measured<'static> {
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
