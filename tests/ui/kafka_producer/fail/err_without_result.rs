use throughline::kafka_producer;

#[kafka_producer(err = debug)]
fn send() {}

fn main() {}
