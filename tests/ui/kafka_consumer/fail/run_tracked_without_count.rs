use throughline::kafka::Record;
use throughline::kafka_consumer;

#[kafka_consumer(topic = "orders", run(commit = tracked("1s")))]
fn handle(order: Record) {
    let _ = order;
}

fn main() {}
