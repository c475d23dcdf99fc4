use rdkafka::message::OwnedMessage;
use throughline::kafka_consumer;

#[kafka_consumer(parent_max_age = "90")]
fn handle(message: &OwnedMessage) {
    let _ = message;
}

fn main() {}
