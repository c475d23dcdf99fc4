use throughline::kafka_producer;

#[kafka_producer(leaf)]
fn send() {}

fn main() {}
