use throughline::kafka_consumer;

#[kafka_consumer]
fn handle(text: &str) {
    let _ = text;
}

fn main() {}
