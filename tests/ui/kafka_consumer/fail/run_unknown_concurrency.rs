use throughline::kafka::Record;
use throughline::kafka_consumer;

#[kafka_consumer(topic = "orders", run(concurrency = per_topic(8)))]
fn handle(order: Record) {
    let _ = order;
}

fn main() {}
