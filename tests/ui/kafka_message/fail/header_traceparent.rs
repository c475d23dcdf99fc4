use throughline::KafkaMessage;

#[derive(KafkaMessage)]
#[kafka(topic = "orders")]
struct Order {
    #[kafka(header = "TraceParent")]
    parent: String,
}

fn main() {}
