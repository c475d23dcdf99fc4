use throughline::kafka_producer;

#[kafka_producer(group = "billing")]
fn send() {}

fn main() {}
