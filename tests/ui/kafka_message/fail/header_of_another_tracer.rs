use throughline::KafkaMessage;

#[derive(KafkaMessage)]
#[kafka(topic = "orders")]
struct Order {
    #[kafka(header = "x-b3-traceid")]
    trace_id: String,
}

fn main() {}
