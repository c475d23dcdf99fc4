use throughline::kafka_producer;

#[kafka_producer]
fn send(#[headers] (_, _): (Vec<(String, String)>, u8)) {}

fn main() {}
