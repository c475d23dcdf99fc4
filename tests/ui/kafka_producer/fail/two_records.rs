use throughline::kafka::Record;
use throughline::kafka_producer;

#[kafka_producer]
fn send(first: Record, second: Record) {
    let _ = (first, second);
}

fn main() {}
