use throughline::kafka::Consumer;

async fn handle(_: u64) {}

fn main() {
    let _ = Consumer::new().start(handle);
}
