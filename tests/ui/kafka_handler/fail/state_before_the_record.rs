use throughline::kafka::{Consumer, Record, State};

async fn handle(_: State<u8>, _: Record) {}

fn main() {
    let _ = Consumer::new().state(7_u8).start(handle);
}
