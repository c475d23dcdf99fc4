use rdkafka::message::OwnedMessage;
use throughline::kafka_consumer;

#[kafka_consumer(sizes)]
fn handle(message: &OwnedMessage) {
    let _ = message;
}

fn main() {}
