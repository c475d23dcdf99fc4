use throughline::KafkaMessage;

#[derive(KafkaMessage)]
#[kafka(topic = "orders")]
struct Order {
    #[kafka(baggage)]
    plan: String,
}

fn main() {}
