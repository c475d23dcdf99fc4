use throughline::kafka_producer;

#[kafka_producer(headers("x-a", "X-A"))]
fn send() {}

fn main() {}
