use throughline::KafkaMessage;

#[derive(KafkaMessage)]
#[kafka(topic = "orders")]
struct Order {
    #[kafka(header = "the plan", baggage)]
    plan: String,
}

fn main() {}
