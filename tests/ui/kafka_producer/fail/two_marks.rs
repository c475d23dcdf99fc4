use throughline::kafka_producer;

#[kafka_producer]
fn send(#[headers] first: &mut Vec<(String, String)>, #[headers] second: &mut Vec<(String, String)>) {
    let _ = (first, second);
}

fn main() {}
