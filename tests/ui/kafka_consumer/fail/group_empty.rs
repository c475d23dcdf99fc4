use rdkafka::message::OwnedMessage;
use throughline::kafka_consumer;

#[kafka_consumer(group = "")]
fn handle(message: &OwnedMessage) {
    let _ = message;
}

fn main() {}
