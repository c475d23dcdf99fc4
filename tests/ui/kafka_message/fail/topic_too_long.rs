use throughline::KafkaMessage;

#[derive(KafkaMessage)]
#[kafka(topic = "tttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt")]
struct Order {
    amount: u64,
}

fn main() {}
