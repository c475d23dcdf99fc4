use throughline::KafkaMessage;

#[derive(KafkaMessage)]
#[kafka(topic = "orders/eu")]
struct Order {
    amount: u64,
}

fn main() {}
