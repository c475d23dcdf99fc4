use throughline::kafka::Record;
use throughline::kafka_consumer;

#[kafka_consumer(topic = "orders", run(group = "billing", group = "shipping"))]
fn handle(order: Record) {
    let _ = order;
}

fn main() {}
