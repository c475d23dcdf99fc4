use throughline::kafka_producer;

#[kafka_producer]
fn send() -> ! {
    loop {}
}

fn main() {}
