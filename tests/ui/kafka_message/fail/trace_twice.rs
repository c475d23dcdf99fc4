use throughline::KafkaMessage;
use throughline::kafka::CreationContext;

#[derive(KafkaMessage)]
#[kafka(topic = "orders")]
struct Order {
    #[kafka(trace)]
    trace: CreationContext,
    #[kafka(trace)]
    other: CreationContext,
}

fn main() {}
