use throughline::KafkaMessage;

#[derive(KafkaMessage)]
#[kafka(topic = topic())]
struct Order {
    amount: u64,
}

fn main() {}
