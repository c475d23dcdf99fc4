use throughline::kafka_producer;

#[kafka_producer(run(group = "billing"))]
fn send() {}

fn main() {}
