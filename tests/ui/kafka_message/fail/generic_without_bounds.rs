use throughline::KafkaMessage;

#[derive(KafkaMessage)]
#[kafka(topic = "orders")]
struct Order<T> {
    amount: u64,
    more: Vec<T>,
}

fn main() {}
