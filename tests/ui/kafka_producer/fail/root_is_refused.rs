use throughline::kafka_producer;

#[kafka_producer(root)]
fn send() {}

fn main() {}
