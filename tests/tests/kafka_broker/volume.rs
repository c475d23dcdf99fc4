//! A hundred thousand records: each is handled, in the trace of its sender.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use opentelemetry::trace::TraceId;
use rdkafka::error::KafkaError;
use rdkafka::producer::FutureRecord;
use rdkafka::types::RDKafkaErrorCode;
use throughline::kafka::{Consumer, Record, TracedProducer, by_key};
use tokio::sync::Notify;

use super::support::{Broker, root, spans, unsampled};

const RECORDS: usize = 100_000;
/// One of so many is recorded; the others pass a trace on that nobody records.
const SAMPLED: usize = 1_000;

/// Sends everything; gives the traces that are recorded.
async fn produce(producer: TracedProducer, topic: String) -> Vec<TraceId> {
    let mut traces = Vec::new();
    let mut deliveries = FuturesUnordered::new();
    for number in 0..RECORDS {
        let (cx, trace) = if number % SAMPLED == 0 { root() } else { unsampled() };
        if number % SAMPLED == 0 {
            traces.push(trace);
        }
        let (payload, key) = (format!("{number} {trace} {}", "x".repeat(60)), (number % 997).to_string());
        let mut record = FutureRecord::to(&topic).key(&key).payload(&payload);
        loop {
            let queued = {
                let _guard = cx.clone().attach();
                producer.send_result(record)
            };
            match queued {
                Ok(delivery) => break deliveries.push(delivery),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), refused)) => {
                    record = refused;
                    deliveries.next().await.unwrap().unwrap().unwrap();
                }
                Err((error, _)) => panic!("{error}"),
            }
        }
        while deliveries.len() > 10_000 {
            deliveries.next().await.unwrap().unwrap().unwrap();
        }
    }
    while let Some(delivery) = deliveries.next().await {
        delivery.unwrap().unwrap();
    }
    traces
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_records_are_handled() {
    let broker = Broker::start();
    let topic = broker.topic("volume", 8).await;
    let producer: TracedProducer = broker.config().set("linger.ms", "5").create().unwrap();
    let sending = tokio::spawn(produce(producer, topic.clone()));

    let times: Arc<Vec<AtomicU8>> = Arc::new((0..RECORDS).map(|_| AtomicU8::new(0)).collect());
    let (seen, wrong, done) =
        (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let handler = {
        let (times, seen, wrong, done) =
            (Arc::clone(&times), Arc::clone(&seen), Arc::clone(&wrong), Arc::clone(&done));
        move |record: Record| {
            let value = std::str::from_utf8(record.value().as_deref().unwrap()).unwrap();
            let mut words = value.split(' ');
            let number: usize = words.next().unwrap().parse().unwrap();
            let right = throughline::trace_id().as_deref() == words.next();
            wrong.fetch_add(usize::from(!right), Ordering::Relaxed);
            if times[number].fetch_add(1, Ordering::Relaxed) == 0
                && seen.fetch_add(1, Ordering::Relaxed) + 1 == RECORDS
            {
                done.notify_one();
            }
            std::future::ready(())
        }
    };
    let config = broker.consumer(&topic);
    let runner = Consumer::from_config(config).group(&topic).topics([&topic]).concurrency(by_key(64));
    let runner = runner.start(handler).unwrap();
    let finished = tokio::time::timeout(Duration::from_secs(300), done.notified()).await;
    assert!(finished.is_ok(), "{} of {RECORDS} came", seen.load(Ordering::Relaxed));
    let report = runner.close(Duration::from_secs(30)).await.unwrap();

    assert_eq!(wrong.load(Ordering::Relaxed), 0, "handled in another trace than the sender's");
    assert_eq!(
        (report.handled, report.unfinished),
        (RECORDS as u64, 0),
        "each once, by a member that was never disturbed"
    );
    assert!(times.iter().all(|times| times.load(Ordering::Relaxed) == 1));
    let traces = sending.await.unwrap();
    assert_eq!(traces.len(), RECORDS / SAMPLED);
    for trace in traces {
        let spans = spans(trace);
        let send = spans.iter().find(|span| span.name.starts_with("send")).expect("a send");
        let process = spans.iter().find(|span| span.name.starts_with("process")).expect("a process span");
        assert_eq!(process.parent_span_id, send.span_context.span_id());
    }
}
