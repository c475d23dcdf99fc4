use rdkafka::message::{BorrowedMessage, Message, OwnedMessage};
use throughline::kafka_consumer;

#[kafka_consumer]
fn plain(message: &OwnedMessage) {
    let _ = message;
}

#[kafka_consumer(
    "orders",
    topic = "orders",
    group = "billing",
    client_id = format!("billing-{}", 1),
    template = "orders.{tenant}",
    operation = "handle",
    context = link,
    parent_max_age = "15m",
    key = utf8(max = 16),
    headers("x-tenant" = "app.tenant", "x-flow"),
    message_id = "x-message-id",
    conversation_id = "x-conversation-id",
    baggage = off,
    queue_time = off,
    sizes = on,
    metrics = on,
    fields(attempt),
    err = debug
)]
async fn every(message: BorrowedMessage<'_>, attempt: u8) -> Result<(), std::fmt::Error> {
    let _ = (message.payload(), attempt);
    Ok(())
}

fn text(key: &[u8]) -> Option<String> {
    Some(format!("{} bytes", key.len()))
}

#[kafka_consumer(name = "n", context = new_root, parent_max_age = none, key = with(text), baggage = attach)]
fn marked<M: Message + throughline::kafka::ConsumedMessage>(#[message] record: &M, other: &OwnedMessage) {
    let _ = (record.payload(), other);
}

#[kafka_consumer(topic = "orders", key = off, context = parent)]
fn batch(messages: &[OwnedMessage]) {
    let _ = messages;
}

#[kafka_consumer(topic = "orders", context = parent_or_link)]
async fn batch_async(messages: Vec<OwnedMessage>) -> Result<(), std::fmt::Error> {
    drop(messages);
    Ok(())
}

struct Handler;

#[async_trait::async_trait]
trait Handle {
    async fn handle(&self, message: &OwnedMessage) -> Result<(), String>;
}

#[async_trait::async_trait]
impl Handle for Handler {
    #[kafka_consumer(group = "billing")]
    async fn handle(&self, message: &OwnedMessage) -> Result<(), String> {
        let _ = message;
        Ok(())
    }
}

fn assert_send<T: Send>(_: T) {}

fn main() {
    batch(&[]);
    assert_send(batch_async(vec![]));
    let _ = (plain, marked::<OwnedMessage>, every);
}
