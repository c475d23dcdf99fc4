use throughline::KafkaMessage;

mod hex {}

#[derive(KafkaMessage)]
#[kafka(topic = "orders")]
struct Order {
    #[kafka(key, with = hex)]
    id: u64,
}

fn main() {}
