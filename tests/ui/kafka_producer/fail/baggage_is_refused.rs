use throughline::kafka_producer;

#[kafka_producer(baggage = off)]
fn send() {}

fn main() {}
