use rdkafka::message::OwnedMessage;
use throughline::kafka_consumer;

#[kafka_consumer]
fn handle(_: &OwnedMessage) {}

fn main() {}
