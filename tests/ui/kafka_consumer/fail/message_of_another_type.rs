use throughline::kafka_consumer;

#[kafka_consumer]
fn handle(#[message] message: &str) {
    let _ = message;
}

fn main() {}
