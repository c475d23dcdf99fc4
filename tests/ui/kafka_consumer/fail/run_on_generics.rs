use throughline::kafka::{Record, RecordValue};
use throughline::kafka_consumer;

#[kafka_consumer(topic = "orders", run(group = "billing"))]
fn handle<T: RecordValue + 'static>(order: Record<T>) {
    let _ = order;
}

fn main() {}
