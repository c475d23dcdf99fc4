//! Messages that a receive span accounts for.

use std::ops::Deref;

use opentelemetry::Context;
use rdkafka::message::{BorrowedMessage, OwnedMessage};

use super::message::{ConsumedMessage, Sender};

/// A message from a [`TracedConsumer`](super::TracedConsumer): it was counted when it was received, so the handler's
/// process span does not count it again.
///
/// It derefs to the message, and `#[kafka_consumer]` knows it.
///
/// ```
/// use throughline::kafka::Received;
/// use throughline::kafka_consumer;
///
/// #[kafka_consumer(group = "billing")]
/// async fn bill(message: &Received<'_>) {}
/// ```
#[derive(Debug)]
pub struct Received<'m, M = BorrowedMessage<'m>> {
    message: M,
    borrowed: std::marker::PhantomData<&'m ()>,
}

impl<M> Received<'_, M> {
    pub(super) fn new(message: M) -> Self {
        Received { message, borrowed: std::marker::PhantomData }
    }

    /// The message alone, which forgets that it was counted.
    pub fn into_inner(self) -> M {
        self.message
    }
}

impl Received<'_> {
    /// A copy that does not borrow from the consumer.
    pub fn detach(&self) -> Received<'static, OwnedMessage> {
        Received::new(self.message.detach())
    }
}

impl<M> Deref for Received<'_, M> {
    type Target = M;

    fn deref(&self) -> &M {
        &self.message
    }
}

impl<M: ConsumedMessage> ConsumedMessage for Received<'_, M> {
    type Headers = M::Headers;

    fn header_view(&self) -> &M::Headers {
        self.message.header_view()
    }
    fn topic(&self) -> &str {
        self.message.topic()
    }
    fn partition(&self) -> i32 {
        self.message.partition()
    }
    fn offset(&self) -> i64 {
        self.message.offset()
    }
    fn key(&self) -> Option<&[u8]> {
        self.message.key()
    }
    fn value(&self) -> Option<&[u8]> {
        self.message.value()
    }
    fn value_bytes(&self) -> Option<usize> {
        self.message.value_bytes()
    }
    fn timestamp_ms(&self) -> Option<i64> {
        self.message.timestamp_ms()
    }
    fn creation_context(&self) -> Context {
        self.message.creation_context()
    }
    fn is_counted(&self) -> bool {
        true
    }
    fn sender(&self) -> Sender {
        self.message.sender()
    }
}
