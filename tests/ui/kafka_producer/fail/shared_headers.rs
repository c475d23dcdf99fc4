use throughline::kafka_producer;

#[kafka_producer]
fn send(#[headers] carrier: &Vec<(String, String)>) {
    let _ = carrier;
}

fn main() {}
