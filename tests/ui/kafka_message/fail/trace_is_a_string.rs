use throughline::KafkaMessage;

#[derive(KafkaMessage)]
#[kafka(topic = "orders")]
struct Order {
    #[kafka(trace)]
    trace: String,
}

fn main() {}
