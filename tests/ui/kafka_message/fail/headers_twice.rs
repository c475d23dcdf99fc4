use throughline::KafkaMessage;
use throughline::kafka::Headers;

#[derive(KafkaMessage)]
#[kafka(topic = "orders")]
struct Order {
    #[kafka(headers)]
    rest: Headers,
    #[kafka(headers)]
    other: Headers,
}

fn main() {}
