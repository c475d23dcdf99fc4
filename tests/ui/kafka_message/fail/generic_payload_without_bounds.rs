use throughline::KafkaMessage;

#[derive(KafkaMessage)]
#[kafka(topic = "orders", codec = Raw)]
struct Order<T> {
    #[kafka(payload)]
    data: T,
}

fn main() {}
