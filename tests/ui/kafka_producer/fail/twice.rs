use throughline::kafka_producer;

#[kafka_producer]
#[kafka_producer]
fn send() {}

fn main() {}
