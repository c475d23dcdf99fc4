use throughline::kafka_producer;

#[kafka_producer(parent = cx)]
fn send() {}

fn main() {}
