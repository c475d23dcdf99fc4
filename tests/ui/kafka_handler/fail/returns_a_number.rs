use throughline::kafka::{Consumer, Record};

async fn handle(_: Record) -> u64 {
    7
}

fn main() {
    let _ = Consumer::new().start(handle);
}
