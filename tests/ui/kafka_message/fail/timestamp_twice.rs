use throughline::KafkaMessage;

#[derive(KafkaMessage)]
#[kafka(topic = "orders")]
struct Order {
    #[kafka(timestamp)]
    at: i64,
    #[kafka(timestamp)]
    other: i64,
}

fn main() {}
