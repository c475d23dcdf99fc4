use throughline::KafkaMessage;

#[derive(KafkaMessage)]
#[kafka(topic = "orders")]
struct Order {
    #[kafka(headers)]
    rest: std::collections::HashMap<String, String>,
}

fn main() {}
