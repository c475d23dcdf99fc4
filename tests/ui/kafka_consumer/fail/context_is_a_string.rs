use rdkafka::message::OwnedMessage;
use throughline::kafka_consumer;

#[kafka_consumer(context = "link")]
fn handle(message: &OwnedMessage) {
    let _ = message;
}

fn main() {}
