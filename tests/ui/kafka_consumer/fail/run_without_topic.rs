use throughline::kafka::Record;
use throughline::kafka_consumer;

#[kafka_consumer(run(group = "billing"))]
fn handle(order: Record) {
    let _ = order;
}

fn main() {}
