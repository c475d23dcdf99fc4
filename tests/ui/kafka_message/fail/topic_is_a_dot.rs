use throughline::KafkaMessage;

#[derive(KafkaMessage)]
#[kafka(topic = "..")]
struct Order {
    amount: u64,
}

fn main() {}
