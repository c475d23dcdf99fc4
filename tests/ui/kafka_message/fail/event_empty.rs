use throughline::KafkaMessage;

#[derive(KafkaMessage)]
#[kafka(topic = "orders", event = "")]
struct Order {
    amount: u64,
}

fn main() {}
