use throughline::kafka::Record;
use throughline::kafka_consumer;

struct Billing;

impl Billing {
    #[kafka_consumer(topic = "orders", run(group = "billing"))]
    fn handle(&self, order: Record) {
        let _ = order;
    }
}

fn main() {}
