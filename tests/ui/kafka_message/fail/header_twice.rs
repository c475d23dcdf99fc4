use throughline::KafkaMessage;

#[derive(KafkaMessage)]
#[kafka(topic = "orders")]
struct Order {
    #[kafka(header = "x-tenant")]
    tenant: String,
    #[kafka(header = "X-Tenant")]
    other: String,
}

fn main() {}
