use throughline::kafka::Record;
use throughline::kafka_consumer;

const LINK: throughline::opentelemetry::trace::SpanContext = throughline::opentelemetry::trace::SpanContext::NONE;

#[kafka_consumer(topic = "orders", links = [LINK], run(group = "billing"))]
fn handle(order: Record) {
    let _ = order;
}

fn main() {}
