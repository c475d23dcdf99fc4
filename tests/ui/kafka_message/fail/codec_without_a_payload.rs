use throughline::KafkaMessage;

#[derive(KafkaMessage)]
#[kafka(topic = "orders", codec = Raw)]
struct Order {
    amount: u64,
}

fn main() {}
