use rdkafka::message::OwnedMessage;
use throughline::kafka_consumer;

#[kafka_consumer(key = with(|_| None))]
fn handle(message: &OwnedMessage) {
    let _ = message;
}

fn main() {}
