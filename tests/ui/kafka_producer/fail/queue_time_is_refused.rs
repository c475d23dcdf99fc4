use throughline::kafka_producer;

#[kafka_producer(queue_time = off)]
fn send() {}

fn main() {}
