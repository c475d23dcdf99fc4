use throughline::kafka::{Consumer, Record, State};

async fn handle(_: Record, _: State<String>) {}

fn main() {
    let _ = Consumer::new().state(7_u8).start(handle);
}
