use rdkafka::message::OwnedMessage;
use throughline::kafka_consumer;

#[kafka_consumer(conversation_id = ID)]
fn handle(message: &OwnedMessage) {
    let _ = message;
}

fn main() {}
