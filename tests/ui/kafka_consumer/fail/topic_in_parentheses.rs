use rdkafka::message::OwnedMessage;
use throughline::kafka_consumer;

#[kafka_consumer(topic("orders"))]
fn handle(message: &OwnedMessage) {
    let _ = message;
}

fn main() {}
