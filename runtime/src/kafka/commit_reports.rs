//! Automatic commits, of which only the consumer's context is told.

use std::sync::{Arc, OnceLock};

use opentelemetry::Context;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientContext, TopicPartitionList};

use super::client::Client;
use super::settle::{self, Commit, Committing};

/// A consumer context with which a [`TracedConsumer`](super::TracedConsumer) sees automatic commits, too.
///
/// `rdkafka` hands a context's own callbacks a consumer of that very context type, so this one cannot wrap another: a
/// program that has callbacks of its own keeps its context, and the spans of automatic commits are missing then. The
/// consumer has to be polled for the reports to come.
#[derive(Clone, Debug, Default)]
pub struct TracedConsumerContext {
    client: Arc<OnceLock<Arc<Client>>>,
}

impl TracedConsumerContext {
    /// The client that the context belongs to, known once the consumer is wrapped.
    pub(super) fn belongs_to(&self, client: &Arc<Client>) {
        let _ = self.client.set(Arc::clone(client));
    }
}

impl ClientContext for TracedConsumerContext {}

impl ConsumerContext for TracedConsumerContext {
    /// Told of automatic commits only: with the queue of events that `rdkafka` uses, librdkafka (2.12) reports a commit
    /// that was asked for to nobody (`CommitMode::Async`) or to the caller (`CommitMode::Sync`).
    fn commit_callback(&self, result: KafkaResult<()>, offsets: &TopicPartitionList) {
        // There was nothing to commit: no request was made.
        let nothing = matches!(result, Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)));
        if let Some(client) = self.client.get().filter(|_| !nothing) {
            // A commit that nobody asked for is a root (kafka.md C-3).
            of_list(client, offsets, Some(Context::new())).end(&result);
        }
    }
}

/// The span of a commit of these offsets.
pub(super) fn of_list(client: &Client, offsets: &TopicPartitionList, parent: Option<Context>) -> Committing {
    let elements = offsets.elements();
    let first = elements.first().filter(|first| elements.iter().all(|other| other.topic() == first.topic()));
    let attributes: Vec<_> = client.attributes().collect();
    let commit = Commit {
        topic: first.map(|first| first.topic()),
        partition: first.filter(|_| elements.len() == 1).map(|first| first.partition()),
        group: client.group(),
        client: &attributes,
        server: client.server(),
        ..Commit::default()
    };
    settle::commit_span(commit, parent)
}
