use throughline::kafka::{Consumer, Record};

struct Declined;

async fn handle(_: Record) -> Result<(), Declined> {
    Ok(())
}

fn main() {
    let _ = Consumer::new().start(handle);
}
