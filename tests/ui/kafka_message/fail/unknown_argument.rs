use throughline::KafkaMessage;

#[derive(KafkaMessage)]
#[kafka(topic = "orders", codek = Json)]
struct Order {
    amount: u64,
}

fn main() {}
