use throughline::KafkaMessage;

struct OrderId(u64);

#[derive(KafkaMessage)]
#[kafka(topic = "orders")]
struct Order {
    #[kafka(key)]
    id: OrderId,
    amount: u64,
}

fn main() {}
