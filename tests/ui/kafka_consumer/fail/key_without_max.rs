use rdkafka::message::OwnedMessage;
use throughline::kafka_consumer;

#[kafka_consumer(key = utf8(64))]
fn handle(message: &OwnedMessage) {
    let _ = message;
}

fn main() {}
