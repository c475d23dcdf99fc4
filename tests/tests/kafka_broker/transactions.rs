//! Transactions, which the embedded cluster does not isolate (kafka.md R-19).

use std::time::Duration;

use opentelemetry::trace::{FutureExt as _, Status, TraceContextExt as _};
use rdkafka::Message as _;
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::producer::{FutureRecord, Producer as _};
use rdkafka::{Offset, TopicPartitionList};
use throughline::extract_trace_context;
use throughline::kafka::{ProcessOptions, TracedProducer, process};

use super::support::{Broker, blocking, named, offset, root, soon, spans};

const WAIT: Duration = Duration::from_secs(30);

async fn transactional(broker: &Broker, id: &str) -> TracedProducer {
    let producer: TracedProducer = broker.config().set("transactional.id", id).create().unwrap();
    let begun = producer.clone();
    blocking(move || begun.init_transactions(WAIT)).await.unwrap();
    producer
}

async fn finish(producer: &TracedProducer, commit: bool) {
    let producer = producer.clone();
    let end = move || {
        if commit { producer.commit_transaction(WAIT) } else { producer.abort_transaction(WAIT) }
    };
    blocking(end).await.unwrap();
}

async fn send(producer: &TracedProducer, topic: &str, value: &str) {
    producer.send(FutureRecord::<str, str>::to(topic).payload(value), WAIT).await.unwrap();
}

fn value<M: rdkafka::Message>(message: &M) -> String {
    String::from_utf8_lossy(message.payload().unwrap_or_default()).into_owned()
}

#[tokio::test]
async fn only_committed_records_reach_those_who_ask_for_committed_ones() {
    let Some(broker) = Broker::real() else { return };
    let topic = broker.topic("transactions", 1).await;
    let producer = transactional(&broker, &topic).await;
    let (cx, trace) = root();
    let work = async {
        for (values, commit) in [(&["a", "b"][..], true), (&["lost"], false), (&["c"], true)] {
            producer.begin_transaction().unwrap();
            for value in values {
                send(&producer, &topic, value).await;
            }
            finish(&producer, commit).await;
        }
    };
    work.with_context(cx).await;

    let read = async |isolation: &str, count: usize| {
        let mut config = broker.consumer(&format!("{topic}-{isolation}"));
        let consumer: StreamConsumer = config.set("isolation.level", isolation).create().unwrap();
        consumer.subscribe(&[&topic]).unwrap();
        let mut seen = Vec::new();
        for _ in 0..count {
            let message = soon(consumer.recv()).await.unwrap();
            assert_eq!(extract_trace_context(&message).span().span_context().trace_id(), trace);
            seen.push((value(&message), message.offset()));
        }
        seen
    };
    let expect = |seen: &[(&str, i64)]| -> Vec<_> {
        seen.iter().map(|(value, offset)| ((*value).to_owned(), *offset)).collect()
    };
    // The markers that end a transaction take an offset each.
    assert_eq!(read("read_committed", 3).await, expect(&[("a", 0), ("b", 1), ("c", 5)]));
    assert_eq!(read("read_uncommitted", 4).await, expect(&[("a", 0), ("b", 1), ("lost", 3), ("c", 5)]));

    // A send of an aborted transaction was delivered all the same.
    let sends: Vec<_> = spans(trace).into_iter().filter(|span| span.name.starts_with("send")).collect();
    let mut offsets: Vec<_> = sends.iter().map(|span| offset(span).unwrap()).collect();
    offsets.sort_unstable();
    assert_eq!(offsets, [0, 1, 3, 5]);
    assert!(sends.iter().all(|span| span.status == Status::Unset));
}

/// Read, process, send and commit in one transaction; the first attempt is given up.
#[tokio::test]
async fn offsets_and_output_of_a_transaction_stand_or_fall_together() {
    let Some(broker) = Broker::real() else { return };
    let (input, output) = (broker.topic("input", 1).await, broker.topic("output", 1).await);
    let mut traces = Vec::new();
    let plain = broker.producer();
    for number in 0..3 {
        let (cx, trace) = root();
        traces.push(trace);
        send(&plain, &input, &number.to_string()).with_context(cx).await;
    }
    let producer = transactional(&broker, &output).await;
    for (attempt, commit) in [(0, false), (1, true)] {
        let consumer: StreamConsumer = broker.consumer(&input).create().unwrap();
        consumer.subscribe(&[&input]).unwrap();
        producer.begin_transaction().unwrap();
        for number in 0..3 {
            let message = soon(consumer.recv()).await.unwrap();
            assert_eq!(message.offset(), number, "attempt {attempt}: nothing was committed before");
            let handler = async {
                send(&producer, &output, &value(&message)).await;
                Ok::<_, String>(())
            };
            process(&message, ProcessOptions::new(), handler).await.unwrap();
        }
        let mut next = TopicPartitionList::new();
        next.add_partition_offset(&input, 0, Offset::Offset(3)).unwrap();
        let group = consumer.group_metadata().unwrap();
        let sender = producer.clone();
        blocking(move || sender.send_offsets_to_transaction(&next, &group, WAIT)).await.unwrap();
        finish(&producer, commit).await;
    }

    let mut config = broker.consumer(&output);
    let consumer: StreamConsumer = config.set("isolation.level", "read_committed").create().unwrap();
    consumer.subscribe(&[&output]).unwrap();
    for (number, trace) in traces.into_iter().enumerate() {
        let message = soon(consumer.recv()).await.unwrap();
        assert_eq!(value(&message), number.to_string());
        process(&message, ProcessOptions::new(), async { Ok::<_, String>(()) }).await.unwrap();
        let spans = spans(trace);
        // Input sent once, processed in each attempt, output sent in each attempt, processed once.
        let count = |name: String| spans.iter().filter(|span| span.name == name).count();
        assert_eq!((count(format!("send {input}")), count(format!("process {input}"))), (1, 2));
        assert_eq!(count(format!("send {output}")), 2);
        let last = named(&spans, &format!("process {output}"));
        let parent = spans.iter().find(|span| span.span_context.span_id() == last.parent_span_id).unwrap();
        assert_eq!(offset(parent), Some(message.offset()), "it continues the attempt that was committed");
    }
    let mut partition = TopicPartitionList::new();
    partition.add_partition(&input, 0);
    let reader: StreamConsumer = broker.consumer(&input).create().unwrap();
    let committed = blocking(move || reader.committed_offsets(partition, WAIT)).await.unwrap();
    assert_eq!(committed.elements()[0].offset(), Offset::Offset(3));
}
