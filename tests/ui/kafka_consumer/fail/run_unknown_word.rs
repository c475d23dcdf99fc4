use throughline::kafka::Record;
use throughline::kafka_consumer;

#[kafka_consumer(topic = "orders", run(group = "billing", retries = 5))]
fn handle(order: Record) {
    let _ = order;
}

fn main() {}
