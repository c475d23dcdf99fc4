use throughline::KafkaMessage;

#[derive(KafkaMessage)]
#[kafka(topic = 7)]
struct Order {
    amount: u64,
}

fn main() {}
