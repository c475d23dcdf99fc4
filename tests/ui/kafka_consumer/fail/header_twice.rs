use rdkafka::message::OwnedMessage;
use throughline::kafka_consumer;

#[kafka_consumer(headers("x-tenant", "X-Tenant" = "app.tenant"))]
fn handle(message: &OwnedMessage) {
    let _ = message;
}

fn main() {}
