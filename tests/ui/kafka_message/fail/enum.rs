use throughline::KafkaMessage;

#[derive(KafkaMessage)]
#[kafka(topic = "orders")]
enum Order {
    Placed,
}

fn main() {}
