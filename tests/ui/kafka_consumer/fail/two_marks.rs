use rdkafka::message::OwnedMessage;
use throughline::kafka_consumer;

#[kafka_consumer]
fn handle(#[message] first: &OwnedMessage, #[message] second: &OwnedMessage) {
    let _ = (first, second);
}

fn main() {}
