use throughline::KafkaMessage;

#[derive(KafkaMessage)]
#[kafka(topic = "orders", key)]
struct Order {
    id: u64,
}

fn main() {}
