use throughline::KafkaMessage;

#[derive(KafkaMessage)]
#[kafka(topic = "orders")]
struct Order {
    #[kafka(header = "x\0y")]
    tenant: String,
}

fn main() {}
