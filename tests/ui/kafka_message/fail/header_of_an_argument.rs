use throughline::KafkaMessage;

#[derive(KafkaMessage)]
#[kafka(topic = "orders", event = "order.placed")]
struct Order {
    #[kafka(header = "Event")]
    event: String,
}

fn main() {}
