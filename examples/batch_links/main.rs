//! What to look at: one span for a batch, in a trace of its own, and a link from it to the trace of every sender. A batch
//! has no one parent; without the links it would be unknown what it worked on, and with one parent the others would be.
//!
//! ```sh
//! cargo run --example batch_links
//! ```

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use throughline::export::memory::MemoryExporter;
use throughline::kafka::{Record, State, TracedProducer};
use throughline::opentelemetry::trace::{Link, TraceContextExt as _};
use throughline::opentelemetry::{Context, KeyValue};
use throughline::{Setup, kafka_consumer, traced_span};
use throughline_examples::broker::{Broker, member};
use throughline_examples::{note, say};
use tokio::sync::Notify;

const READINGS: usize = 5;

/// One call, one span, one transaction for all of them.
#[kafka_consumer(topic = "readings", group = "archive", run(batch(max = 5, wait = "10s")))]
async fn store(readings: Vec<Record>, State(stored): State<Arc<Notify>>) {
    insert(readings.len()).await;
    stored.notify_one();
}

#[traced_span("database.insert", kind = client, fields(rows))]
async fn insert(rows: usize) {
    tokio::time::sleep(Duration::from_millis(5)).await;
    tracing::info!(rows, "inserted");
}

#[traced_span("sensor.measure", root, fields(sensor))]
async fn measure(producer: &TracedProducer, sensor: usize) -> Result<(), Box<dyn Error>> {
    let reading =
        Record::to("readings").with_key(format!("sensor-{sensor}")).with_value("21.5").with_partition(0);
    producer.send_record(&reading, Duration::from_secs(5)).await?;
    let trace = Context::current().span().span_context().trace_id();
    say(format_args!("sensor-{sensor} sent its reading in trace {trace}"));
    Ok(())
}

fn shown(link: &Link) -> String {
    let attribute = |key: &str| {
        let found = link.attributes.iter().find(|kv: &&KeyValue| kv.key.as_str() == key);
        found.map_or_else(String::new, |kv| kv.value.to_string())
    };
    format!(
        "  link to trace {}: offset {}, key {}, {} ms in the broker",
        link.span_context.trace_id(),
        attribute("messaging.kafka.offset"),
        attribute("messaging.kafka.message.key"),
        attribute("throughline.messaging.queue_time_ms"),
    )
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    Broker::serve_if_asked();
    let memory = MemoryExporter::new();
    let telemetry = Setup::new("archive").exporters([]).exporter(memory.clone()).install()?;
    let broker = Broker::start(&[("readings", 1)])?;
    let stored = Arc::new(Notify::new());
    let archive =
        store::consumer().config(member(broker.config())).state(Arc::clone(&stored)).start(store)?;
    let producer: TracedProducer = broker.config().create()?;
    for sensor in 1..=READINGS {
        measure(&producer, sensor).await?;
    }
    note("the consumer is looking for its partition");
    tokio::time::timeout(Duration::from_secs(60), stored.notified()).await.map_err(|_| "no batch came")?;
    archive.close(Duration::from_secs(10)).await?;
    let _ = telemetry.shutdown_async(Duration::from_secs(5)).await;

    let spans = memory.spans();
    let process = spans.iter().find(|span| span.name == "process readings").ok_or("no process span")?;
    let trace = process.span_context.trace_id();
    say(format_args!("\n{} is one span in trace {trace}, with", process.name));
    for link in &process.links.links {
        say(shown(link));
    }
    for child in spans.iter().filter(|span| span.parent_span_id == process.span_context.span_id()) {
        say(format_args!("  and {} below it", child.name));
    }
    Ok(())
}
