use throughline::KafkaMessage;

#[derive(KafkaMessage)]
#[kafka(topic = "orders")]
struct Order {
    #[kafka(partition)]
    to: Option<i32>,
    #[kafka(partition)]
    other: Option<i32>,
}

fn main() {}
