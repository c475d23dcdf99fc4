use throughline::KafkaMessage;

#[derive(KafkaMessage)]
#[kafka(topic = "orders")]
#[serde(into = "String")]
struct Order {
    amount: u64,
}

fn main() {}
