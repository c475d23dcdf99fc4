use throughline::kafka_producer;

struct Record;

#[kafka_producer]
fn send(record: Record) {
    let _ = record;
}

fn main() {}
