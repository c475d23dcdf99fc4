use throughline::KafkaMessage;

#[derive(KafkaMessage)]
#[kafka(event = "order.placed")]
struct Order {
    amount: u64,
}

fn main() {}
