use throughline::kafka_producer;

#[kafka_producer(fields(id))]
fn send() {}

fn main() {}
