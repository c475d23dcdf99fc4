use throughline::KafkaMessage;

#[derive(KafkaMessage)]
#[kafka(topic = "orders", codec = "json")]
struct Order {
    amount: u64,
}

fn main() {}
