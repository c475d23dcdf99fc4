use throughline::KafkaMessage;

struct Avro;

#[derive(KafkaMessage)]
#[kafka(topic = "orders", codec = Avro)]
struct Order {
    amount: u64,
}

fn main() {}
