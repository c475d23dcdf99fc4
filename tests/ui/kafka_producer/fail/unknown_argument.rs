use throughline::kafka_producer;

#[kafka_producer(toppic = "orders")]
fn send() {}

fn main() {}
