//! What to look at: the whole life of a message in one trace. Order 2 is declined once and then charged: its trace has
//! two attempts and no error. Order 3 is declined three times: its trace has three attempts, the last one red, the send
//! to the dead-letter topic below it, and what somebody else did with the dead letter.
//!
//! ```sh
//! cargo run --example orders
//! ```
//!
//! It brings its own broker, and takes a second.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::ClientConfig;
use throughline::export::console::{Tree, TreeSpan};
use throughline::export::memory::MemoryExporter;
use throughline::kafka::{Attempt, Consumer, Record, State, TracedProducer};
use throughline::opentelemetry::TraceId;
use throughline::{KafkaMessage, Setup, kafka_consumer, traced_span};
use throughline_examples::broker::{Broker, member};
use throughline_examples::{note, say};
use tokio::sync::Notify;

/// What the shop says to everybody who wants to know.
#[derive(KafkaMessage)]
#[kafka(topic = "orders")]
struct OrderPlaced {
    #[kafka(key)]
    order_id: u64,
    #[kafka(header = "x-tenant")]
    tenant: String,
    card: String,
    cents: u64,
}

#[derive(Debug)]
struct Declined {
    card: String,
}

impl fmt::Display for Declined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the bank declined the card `{}`", self.card)
    }
}

#[derive(Clone)]
struct Bank;

impl Bank {
    #[traced_span("bank.authorize", kind = client, fields(cents))]
    async fn authorize(&self, card: &str, cents: u64, attempt: Attempt) -> Result<(), Declined> {
        // In place of a request to a bank, which has its moods.
        tokio::time::sleep(Duration::from_millis(5)).await;
        let busy = card == "gold" && attempt.number() == 1;
        if busy || card == "stolen" { Err(Declined { card: card.to_owned() }) } else { Ok(()) }
    }
}

/// The consumer: `charge::consumer()` has everything that is said here, and the broker's address comes later.
#[kafka_consumer(
    topic = "orders",
    group = "billing",
    headers("x-tenant" = "app.tenant"),
    fields(order.id = order.value().order_id, attempt = attempt.number()),
    run(retry(attempts = 3, initial = "50ms"), dead_letter = "orders.dlq")
)]
async fn charge(
    order: Record<OrderPlaced>,
    State(bank): State<Bank>,
    attempt: Attempt,
) -> Result<(), Declined> {
    let OrderPlaced { card, cents, .. } = order.value();
    bank.authorize(card, *cents, attempt).await
}

/// Reads what could not be handled. Its span is in the trace of whoever sent the order.
async fn bury(letter: Record, State(buried): State<Arc<Notify>>) {
    say(format_args!("\nin {}, from {}:", letter.topic(), text(&letter, "__dlq.errors.topic")));
    for header in ["partition", "offset", "group", "delivery.count", "message"] {
        let header = format!("__dlq.errors.{header}");
        say(format_args!("  {header}: {}", text(&letter, &header)));
    }
    buried.notify_one();
}

fn text(letter: &Record, header: &str) -> String {
    let value = letter.headers().get(header).flatten().unwrap_or_default();
    String::from_utf8_lossy(value).into_owned()
}

#[traced_span("shop.place_order", fields(order.id = order.order_id))]
async fn place(producer: &TracedProducer, order: OrderPlaced) -> Result<String, Box<dyn Error>> {
    producer.send_record(&order.to_record()?, Duration::from_secs(5)).await?;
    Ok(throughline::trace_id().unwrap_or_default())
}

async fn run(config: ClientConfig) -> Result<Vec<String>, Box<dyn Error>> {
    let billing = charge::consumer().config(member(config.clone())).state(Bank).start(charge)?;
    let buried = Arc::new(Notify::new());
    let undertaker = Consumer::from_config(member(config.clone())).group("undertaker").topics(["orders.dlq"]);
    let undertaker = undertaker.state(Arc::clone(&buried)).start(bury)?;

    let producer: TracedProducer = config.create()?;
    let mut traces = Vec::new();
    for (order_id, card) in [(1, "blue"), (2, "gold"), (3, "stolen")] {
        let order = OrderPlaced { order_id, tenant: "acme".to_owned(), card: card.to_owned(), cents: 1999 };
        traces.push(place(&producer, order).await?);
    }
    note("three orders are placed; the consumers are looking for their partitions");
    tokio::time::timeout(Duration::from_secs(60), buried.notified())
        .await
        .map_err(|_| "no dead letter came")?;

    let report = billing.close(Duration::from_secs(10)).await?;
    undertaker.close(Duration::from_secs(10)).await?;
    let [handled, retries, dead] = [report.handled, report.retries, report.dead_lettered];
    say(format_args!("\n{handled} orders handled, {retries} retries, {dead} dead letter\n"));
    Ok(traces)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    Broker::serve_if_asked();
    let memory = MemoryExporter::new();
    let setup = Setup::new("orders").exporters([]).exporter(memory.clone());
    let telemetry = setup.install()?;
    let broker = Broker::start(&[("orders", 4), ("orders.dlq", 1)])?;
    let traces = run(broker.config()).await?;
    let _ = telemetry.shutdown_async(Duration::from_secs(5)).await;

    for trace in traces.iter().skip(1) {
        let spans = memory.trace(TraceId::from_hex(trace)?);
        let spans: Vec<_> = spans.iter().map(|span| TreeSpan::from_data(span, "orders")).collect();
        say(Tree::new().render(&spans));
    }
    Ok(())
}
