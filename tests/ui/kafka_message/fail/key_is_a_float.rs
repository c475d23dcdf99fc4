use throughline::KafkaMessage;

#[derive(KafkaMessage)]
#[kafka(topic = "orders")]
struct Order {
    #[kafka(key)]
    price: Option<f64>,
    amount: u64,
}

fn main() {}
