use throughline::KafkaMessage;

#[derive(KafkaMessage)]
#[kafka(topic = "orders", version = 1, version = 2)]
struct Order {
    amount: u64,
}

fn main() {}
