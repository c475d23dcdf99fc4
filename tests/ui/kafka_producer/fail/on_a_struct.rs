use throughline::kafka_producer;

#[kafka_producer]
struct Order;

fn main() {}
