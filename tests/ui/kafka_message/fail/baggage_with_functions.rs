use throughline::KafkaMessage;

#[derive(KafkaMessage)]
#[kafka(topic = "orders")]
struct Order {
    #[kafka(header = "x-plan", baggage, with = hex)]
    plan: String,
}

fn main() {}
