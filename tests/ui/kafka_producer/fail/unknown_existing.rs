use throughline::kafka_producer;

#[kafka_producer(existing = drop)]
fn send() {}

fn main() {}
