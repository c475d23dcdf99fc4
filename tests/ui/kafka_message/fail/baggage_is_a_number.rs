use throughline::KafkaMessage;

#[derive(KafkaMessage)]
#[kafka(topic = "orders")]
struct Order {
    #[kafka(header = "x-plan", baggage)]
    plan: Option<u64>,
}

fn main() {}
