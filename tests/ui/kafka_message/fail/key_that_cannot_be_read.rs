use std::fmt;
use throughline::KafkaMessage;

struct OrderId(u64);

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "order-{}", self.0)
    }
}

#[derive(KafkaMessage)]
#[kafka(topic = "orders")]
struct Order {
    #[kafka(key)]
    id: OrderId,
    amount: u64,
}

fn main() {}
