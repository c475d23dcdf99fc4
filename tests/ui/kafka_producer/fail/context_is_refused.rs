use throughline::kafka_producer;

#[kafka_producer(context = link)]
fn send() {}

fn main() {}
