//! A consumer whose pulls and commits have spans.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use rdkafka::TopicPartitionList;
use rdkafka::client::Client as NativeClient;
use rdkafka::config::{ClientConfig, FromClientConfig, FromClientConfigAndContext as _};
use rdkafka::consumer::{
    BaseConsumer, CommitMode, Consumer, ConsumerContext, ConsumerGroupMetadata, RebalanceProtocol,
    StreamConsumer,
};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::groups::GroupList;
use rdkafka::message::BorrowedMessage;
use rdkafka::metadata::Metadata;
use rdkafka::topic_partition_list::Offset;
use rdkafka::util::Timeout;

use super::client::Client;
use super::commit_reports::{self, TracedConsumerContext};
use super::message::ConsumedMessage;
use super::options::KeyText;
use super::pull::Pull;
use super::received::Received;
use super::settle::{self, Commit, Committing};

/// A consumer whose pulls and commits have spans: `poll orders` for each message that is handed out, and
/// `commit orders`.
///
/// Wraps a `StreamConsumer` or a `BaseConsumer` and takes its place: it is a `Consumer`, with `recv` or `poll`. A pull
/// that hands out nothing has no span, nor has a message before it is handed out. The span of a pull links to the
/// sender's span; the handler's process span continues it.
///
/// ```no_run
/// use rdkafka::ClientConfig;
/// use rdkafka::consumer::{CommitMode, Consumer as _, StreamConsumer};
/// use throughline::kafka::{Received, TracedConsumer};
/// use throughline::kafka_consumer;
///
/// #[kafka_consumer(group = "billing")]
/// async fn bill(message: &Received<'_>) {}
///
/// # async fn example() -> rdkafka::error::KafkaResult<()> {
/// let consumer: TracedConsumer<StreamConsumer<_>> = ClientConfig::new()
///     .set("bootstrap.servers", "localhost:9092")
///     .set("group.id", "billing")
///     .create()?;
/// consumer.subscribe(&["orders"])?;
/// loop {
///     let message = consumer.recv().await?;
///     bill(&message).await;
///     consumer.commit_message(&message, CommitMode::Async)?;
/// }
/// # }
/// ```
///
/// Made by `create`, the consumer has a [`TracedConsumerContext`], and sees automatic commits, too. Follows OpenTelemetry's conventions for messaging: receive and settle spans.
///
/// The consumer's own warning holds here, too: with the default configuration a message counts as done when it was
/// handed out, so what was not handled yet is lost when the program ends.
#[must_use = "a consumer leaves its group when it is dropped"]
pub struct TracedConsumer<B> {
    consumer: B,
    client: Arc<Client>,
    key: KeyText,
}

impl<B> fmt::Debug for TracedConsumer<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TracedConsumer").field("group", &self.client.group()).finish_non_exhaustive()
    }
}

impl FromClientConfig for TracedConsumer<StreamConsumer<TracedConsumerContext>> {
    fn from_config(config: &ClientConfig) -> KafkaResult<Self> {
        let context = TracedConsumerContext::default();
        StreamConsumer::from_config_and_context(config, context).map(Self::wrap)
    }
}

impl FromClientConfig for TracedConsumer<BaseConsumer<TracedConsumerContext>> {
    fn from_config(config: &ClientConfig) -> KafkaResult<Self> {
        let context = TracedConsumerContext::default();
        BaseConsumer::from_config_and_context(config, context).map(Self::wrap)
    }
}

impl<B> TracedConsumer<B> {
    /// Wraps a consumer. Group, client id and server are read from its configuration.
    pub fn wrap<C>(consumer: B) -> Self
    where
        B: Consumer<C>,
        C: ConsumerContext + 'static,
    {
        let client = Arc::new(Client::of_native(consumer.client()));
        let context: &dyn Any = &**consumer.client().context();
        if let Some(context) = context.downcast_ref::<TracedConsumerContext>() {
            context.belongs_to(&client);
        }
        TracedConsumer { consumer, client, key: KeyText::default() }
    }

    /// How the key is recorded; default: UTF-8 of at most 64 bytes.
    pub fn key(mut self, key: KeyText) -> Self {
        self.key = key;
        self
    }

    /// The wrapped consumer. What is received and committed through it has no span.
    pub fn inner(&self) -> &B {
        &self.consumer
    }

    /// The wrapped consumer, without the spans.
    pub fn into_inner(self) -> B {
        self.consumer
    }

    fn committing(&self, commit: Commit<'_>) -> Committing {
        let attributes: Vec<_> = self.client.attributes().collect();
        let (group, server) = (self.client.group(), self.client.server());
        settle::commit_span(Commit { group, server, client: &attributes, ..commit }, None)
    }

    /// Makes the span of a pull that came to something.
    fn pulled<'m, C: ConsumerContext>(
        &self,
        pull: Pull,
        result: KafkaResult<BorrowedMessage<'m>>,
    ) -> KafkaResult<Received<'m>>
    where
        B: Consumer<C>,
    {
        self.client.learn_cluster(self.consumer.client());
        match result {
            Ok(message) => {
                pull.received(&self.client, &message, self.key);
                Ok(Received::new(message))
            }
            // The end of a partition is news, and no failure.
            Err(end @ KafkaError::PartitionEOF(_)) => Err(end),
            Err(error) => {
                pull.failed(&self.client, &error);
                Err(error)
            }
        }
    }
}

impl<C: ConsumerContext + 'static> TracedConsumer<StreamConsumer<C>> {
    /// The next message.
    ///
    /// Dropping the future loses no message. The span lasts from the call to the message, waiting included.
    ///
    /// # Errors
    ///
    /// Those of `StreamConsumer::recv`. Most of them are transient: go on receiving.
    pub async fn recv(&self) -> KafkaResult<Received<'_>> {
        let pull = Pull::begin();
        let result = self.consumer.recv().await;
        self.pulled(pull, result)
    }
}

impl<C: ConsumerContext + 'static> TracedConsumer<BaseConsumer<C>> {
    /// The next message, if one comes within `timeout`.
    ///
    /// # Errors
    ///
    /// Those of `BaseConsumer::poll`. Most of them are transient: go on polling.
    pub fn poll(&self, timeout: impl Into<Timeout>) -> Option<KafkaResult<Received<'_>>> {
        let pull = Pull::begin();
        let result = self.consumer.poll(timeout)?;
        Some(self.pulled(pull, result))
    }
}

impl<B, C> Consumer<C> for TracedConsumer<B>
where
    B: Consumer<C>,
    C: ConsumerContext + 'static,
{
    /// In a span. It lasts until the broker's answer with `CommitMode::Sync`; with `CommitMode::Async` until the commit is
    /// handed over, as librdkafka does not report what becomes of it.
    fn commit(&self, offsets: &TopicPartitionList, mode: CommitMode) -> KafkaResult<()> {
        self.client.learn_cluster(self.consumer.client());
        let committing = commit_reports::of_list(&self.client, offsets, None);
        let result = self.consumer.commit(offsets, mode);
        committing.end(&result);
        result
    }

    /// In a span, as [`commit`](Consumer::commit) is.
    fn commit_consumer_state(&self, mode: CommitMode) -> KafkaResult<()> {
        self.client.learn_cluster(self.consumer.client());
        let committing = self.committing(Commit::default());
        let result = self.consumer.commit_consumer_state(mode);
        committing.end(&result);
        result
    }

    /// In a span, as [`commit`](Consumer::commit) is.
    fn commit_message(&self, message: &BorrowedMessage<'_>, mode: CommitMode) -> KafkaResult<()> {
        self.client.learn_cluster(self.consumer.client());
        let committing = self.committing(Commit {
            topic: Some(ConsumedMessage::topic(message)),
            partition: Some(ConsumedMessage::partition(message)),
            offset: Some(ConsumedMessage::offset(message)),
            ..Commit::default()
        });
        let result = self.consumer.commit_message(message, mode);
        committing.end(&result);
        result
    }

    fn client(&self) -> &NativeClient<C> {
        self.consumer.client()
    }

    fn group_metadata(&self) -> Option<ConsumerGroupMetadata> {
        self.consumer.group_metadata()
    }

    fn subscribe(&self, topics: &[&str]) -> KafkaResult<()> {
        self.consumer.subscribe(topics)
    }

    fn unsubscribe(&self) {
        self.consumer.unsubscribe();
    }

    fn assign(&self, assignment: &TopicPartitionList) -> KafkaResult<()> {
        self.consumer.assign(assignment)
    }

    fn unassign(&self) -> KafkaResult<()> {
        self.consumer.unassign()
    }

    fn incremental_assign(&self, assignment: &TopicPartitionList) -> KafkaResult<()> {
        self.consumer.incremental_assign(assignment)
    }

    fn incremental_unassign(&self, assignment: &TopicPartitionList) -> KafkaResult<()> {
        self.consumer.incremental_unassign(assignment)
    }

    fn seek<T: Into<Timeout>>(
        &self,
        topic: &str,
        partition: i32,
        offset: Offset,
        timeout: T,
    ) -> KafkaResult<()> {
        self.consumer.seek(topic, partition, offset, timeout)
    }

    fn seek_partitions<T: Into<Timeout>>(
        &self,
        topic_partition_list: TopicPartitionList,
        timeout: T,
    ) -> KafkaResult<TopicPartitionList> {
        self.consumer.seek_partitions(topic_partition_list, timeout)
    }

    fn store_offset(&self, topic: &str, partition: i32, offset: i64) -> KafkaResult<()> {
        self.consumer.store_offset(topic, partition, offset)
    }

    fn store_offset_from_message(&self, message: &BorrowedMessage<'_>) -> KafkaResult<()> {
        self.consumer.store_offset_from_message(message)
    }

    fn store_offsets(&self, tpl: &TopicPartitionList) -> KafkaResult<()> {
        self.consumer.store_offsets(tpl)
    }

    fn subscription(&self) -> KafkaResult<TopicPartitionList> {
        self.consumer.subscription()
    }

    fn assignment(&self) -> KafkaResult<TopicPartitionList> {
        self.consumer.assignment()
    }

    fn assignment_lost(&self) -> bool {
        self.consumer.assignment_lost()
    }

    fn committed<T: Into<Timeout>>(&self, timeout: T) -> KafkaResult<TopicPartitionList> {
        self.consumer.committed(timeout)
    }

    fn committed_offsets<T: Into<Timeout>>(
        &self,
        tpl: TopicPartitionList,
        timeout: T,
    ) -> KafkaResult<TopicPartitionList> {
        self.consumer.committed_offsets(tpl, timeout)
    }

    fn offsets_for_timestamp<T: Into<Timeout>>(
        &self,
        timestamp: i64,
        timeout: T,
    ) -> KafkaResult<TopicPartitionList> {
        self.consumer.offsets_for_timestamp(timestamp, timeout)
    }

    fn offsets_for_times<T: Into<Timeout>>(
        &self,
        timestamps: TopicPartitionList,
        timeout: T,
    ) -> KafkaResult<TopicPartitionList> {
        self.consumer.offsets_for_times(timestamps, timeout)
    }

    fn position(&self) -> KafkaResult<TopicPartitionList> {
        self.consumer.position()
    }

    fn fetch_metadata<T: Into<Timeout>>(&self, topic: Option<&str>, timeout: T) -> KafkaResult<Metadata> {
        self.consumer.fetch_metadata(topic, timeout)
    }

    fn fetch_watermarks<T: Into<Timeout>>(
        &self,
        topic: &str,
        partition: i32,
        timeout: T,
    ) -> KafkaResult<(i64, i64)> {
        self.consumer.fetch_watermarks(topic, partition, timeout)
    }

    fn fetch_group_list<T: Into<Timeout>>(&self, group: Option<&str>, timeout: T) -> KafkaResult<GroupList> {
        self.consumer.fetch_group_list(group, timeout)
    }

    fn pause(&self, partitions: &TopicPartitionList) -> KafkaResult<()> {
        self.consumer.pause(partitions)
    }

    fn resume(&self, partitions: &TopicPartitionList) -> KafkaResult<()> {
        self.consumer.resume(partitions)
    }

    fn rebalance_protocol(&self) -> RebalanceProtocol {
        self.consumer.rebalance_protocol()
    }
}
