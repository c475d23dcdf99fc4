use rdkafka::message::OwnedMessage;
use throughline::kafka_consumer;

#[kafka_consumer(queue_time = true)]
fn handle(message: &OwnedMessage) {
    let _ = message;
}

fn main() {}
