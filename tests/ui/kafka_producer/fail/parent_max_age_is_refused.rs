use throughline::kafka_producer;

#[kafka_producer(parent_max_age = "1h")]
fn send() {}

fn main() {}
