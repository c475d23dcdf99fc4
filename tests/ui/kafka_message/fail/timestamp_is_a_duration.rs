use throughline::KafkaMessage;

#[derive(KafkaMessage)]
#[kafka(topic = "orders")]
struct Order {
    #[kafka(timestamp)]
    at: std::time::Duration,
}

fn main() {}
