use throughline::KafkaMessage;

#[derive(KafkaMessage)]
struct Order {
    amount: u64,
}

fn main() {}
