use throughline::KafkaMessage;

#[derive(KafkaMessage)]
#[kafka(topic = "orders")]
struct Order {
    #[kafka(key, header = "x-id")]
    id: u64,
}

fn main() {}
