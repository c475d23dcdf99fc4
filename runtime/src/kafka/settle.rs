//! Commits: the span of settling what was consumed.

use opentelemetry::{Context, KeyValue};
use rdkafka::error::KafkaResult;

use super::metrics::{self, Measured, Timer};
use super::{attributes, error};
use crate::span::{self, Kind, Options, OwnedSpan, Site};

static COMMIT: Site = Site::internal("commit", Kind::Client);

/// What a commit is about, as far as it is known.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Commit<'a> {
    /// The topic, if all offsets are of one; else the span's name has none (kafka.md S-1).
    pub(super) topic: Option<&'a str>,
    /// The partition, if it is one.
    pub(super) partition: Option<i32>,
    /// The offset of the one message that is committed.
    pub(super) offset: Option<i64>,
    pub(super) group: Option<&'a str>,
    /// How many records are settled, where that is known; `None` for a commit of a single message.
    pub(super) count: Option<u64>,
    /// `messaging.client.id`, server and cluster, as the consumer has them.
    pub(super) client: &'a [KeyValue],
    pub(super) server: Option<(&'a str, u16)>,
}

/// A commit that is under way. Ends where it is dropped; say before what became of it.
#[derive(Debug)]
#[must_use = "the span ends when this is dropped"]
pub(super) struct Committing {
    span: OwnedSpan,
    timer: Timer,
    measured: Option<Box<Measured<'static>>>,
}

/// Begins the span of a commit (kafka.md C-3): a child of the current span, which inside of a handler is its process
/// span, or of `parent`, where the commit is nobody's work in particular: an empty context makes a root.
pub(super) fn commit_span(commit: Commit<'_>, parent: Option<Context>) -> Committing {
    let timer = Timer::start();
    let measured = metrics::is_measured().then(|| Box::new(commit.measured()));
    let mut span = OwnedSpan::idle(&COMMIT);
    if span::on() {
        let name = match commit.topic {
            Some(topic) => format!("commit {topic}"),
            None => "commit".to_owned(),
        };
        let mut options = Options::new().name(name).attributes(commit.attributes());
        if let Some(parent) = parent {
            options = options.parent(parent);
        }
        span::open_with(&mut span, options);
    }
    Committing { span, timer, measured }
}

impl Commit<'_> {
    /// kafka.md A-16: all of it is given at creation.
    fn attributes(&self) -> Vec<KeyValue> {
        let mut given = Vec::with_capacity(10);
        given.extend(attributes::operation("commit".into(), "settle"));
        given.extend(self.topic.map(|topic| KeyValue::new(attributes::DESTINATION, topic.to_owned())));
        given.extend(self.group.map(|group| KeyValue::new(attributes::GROUP, group.to_owned())));
        given.extend(self.partition.and_then(attributes::partition));
        given.extend(self.offset.and_then(attributes::offset));
        given.extend(self.count.map(attributes::batch_count));
        given.extend(self.client.iter().cloned());
        given
    }

    fn measured(&self) -> Measured<'static> {
        Measured {
            operation: "commit".into(),
            kind: "settle",
            topic: self.topic.map(|topic| topic.to_owned().into()),
            group: self.group.map(|group| group.to_owned().into()),
            partition: self.partition,
            server: self.server.map(|(address, port)| (address.to_owned().into(), port)),
            ..Measured::default()
        }
    }
}

impl Committing {
    /// Ends with the result of the commit.
    pub(super) fn end(mut self, result: &KafkaResult<()>) {
        if let Err(failed) = result {
            let error_type = error::error_type(failed);
            self.span.fail(error_type, failed.to_string());
            if let Some(measured) = &mut self.measured {
                measured.error_type = Some(error_type.into());
            }
        }
    }
}

impl Drop for Committing {
    fn drop(&mut self) {
        if let Some(measured) = self.measured.take() {
            metrics::operation(self.timer, || *measured);
        }
    }
}
