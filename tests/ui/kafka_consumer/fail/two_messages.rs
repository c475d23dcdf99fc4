use rdkafka::message::OwnedMessage;
use throughline::kafka_consumer;

#[kafka_consumer]
fn handle(first: &OwnedMessage, second: &OwnedMessage) {
    let _ = (first, second);
}

fn main() {}
