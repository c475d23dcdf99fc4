use throughline::kafka::Record;
use throughline::kafka_consumer;

#[kafka_consumer(topic = "orders", run(timeout = 30))]
fn handle(order: Record) {
    let _ = order;
}

fn main() {}
