use throughline::kafka::Record;
use throughline::kafka_consumer;

#[kafka_consumer(topic = "orders", run(dlq_headers = kip))]
fn handle(order: Record) {
    let _ = order;
}

fn main() {}
