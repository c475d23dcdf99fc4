use std::rc::Rc;
use throughline::kafka::{Consumer, Record};

async fn handle(_: Record) {
    let counter = Rc::new(1);
    std::future::ready(()).await;
    drop(counter);
}

fn main() {
    let _ = Consumer::new().start(handle);
}
