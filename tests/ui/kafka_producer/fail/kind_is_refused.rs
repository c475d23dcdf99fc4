use throughline::kafka_producer;

#[kafka_producer(kind = client)]
fn send() {}

fn main() {}
