use throughline::kafka_producer;

#[kafka_producer(key = hash)]
fn send() {}

fn main() {}
