use throughline::KafkaMessage;

#[derive(KafkaMessage)]
#[kafka(topic = "orders")]
struct Order {
    #[kafka(payload)]
    data: u64,
    #[kafka(payload)]
    other: u64,
}

fn main() {}
