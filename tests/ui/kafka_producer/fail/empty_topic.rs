use throughline::kafka_producer;

#[kafka_producer(topic = "")]
fn send() {}

fn main() {}
