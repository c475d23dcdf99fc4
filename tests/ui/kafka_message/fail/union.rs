use throughline::KafkaMessage;

#[derive(KafkaMessage)]
#[kafka(topic = "orders")]
union Order {
    amount: u64,
}

fn main() {}
