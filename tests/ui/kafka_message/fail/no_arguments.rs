use throughline::KafkaMessage;

#[derive(KafkaMessage)]
#[kafka(topic = "orders")]
#[kafka()]
struct Order {
    amount: u64,
}

fn main() {}
