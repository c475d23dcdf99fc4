use throughline::KafkaMessage;

#[derive(KafkaMessage)]
#[kafka(topic = "orders")]
struct Order {
    #[kafka(key)]
    id: u64,
    #[kafka(key)]
    other: u64,
}

fn main() {}
