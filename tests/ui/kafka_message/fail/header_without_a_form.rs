use throughline::KafkaMessage;

struct Line(u64);

#[derive(KafkaMessage)]
#[kafka(topic = "orders")]
struct Order {
    #[kafka(header = "x-line")]
    lines: Vec<Line>,
    amount: u64,
}

fn main() {}
