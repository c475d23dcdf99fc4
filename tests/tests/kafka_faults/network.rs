//! The proxy does what its faults say; the rows build on that.

use std::time::{Duration, Instant};

use rdkafka::producer::FutureRecord;
use throughline::kafka::TracedProducer;
use throughline_tests::kafka::proxy::{Fault, Proxy};

use super::support::{TOPIC, WAIT, cluster, config, consumer, end_offset, messages, producer, soon};

fn record(payload: &str) -> FutureRecord<'_, str, str> {
    FutureRecord::to(TOPIC).payload(payload)
}

#[tokio::test]
async fn clients_reach_their_brokers_through_the_proxy_only() {
    let cluster = cluster(3);
    let proxy = Proxy::before(&cluster);
    let producer = producer(proxy.bootstrap());
    producer.send(record("1"), WAIT).await.unwrap();
    assert_eq!(messages(&consumer(proxy.bootstrap()), 1).await.len(), 1);

    // Nothing comes through, not even to a client that began with the brokers' own addresses.
    proxy.set(Fault::HalfOpen);
    let direct: TracedProducer =
        config(&cluster.bootstrap()).set("message.timeout.ms", "300").create().unwrap();
    soon(direct.send(record("2"), WAIT)).await.unwrap_err();
    proxy.set(Fault::None);
    soon(producer.send(record("3"), WAIT)).await.unwrap();
}

#[tokio::test]
async fn latency_and_throttling_delay() {
    let cluster = cluster(1);
    let proxy = Proxy::before(&cluster);
    let producer = producer(proxy.bootstrap());
    producer.send(record("1"), WAIT).await.unwrap();
    let delays = [Fault::Latency(Duration::from_millis(150)), Fault::Throttle(1_000)];
    for fault in delays {
        proxy.set(fault);
        let begun = Instant::now();
        soon(producer.send(record(&"x".repeat(300)), WAIT)).await.unwrap();
        // A sleep never ends early, so this is no race.
        assert!(begun.elapsed() >= Duration::from_millis(300), "{fault:?}");
    }
    proxy.set(Fault::None);
    assert_eq!(end_offset(&producer), 3);
}

#[tokio::test]
async fn cuts_and_resets_are_survived() {
    let cluster = cluster(1);
    let proxy = Proxy::before(&cluster);
    let producer = producer(proxy.bootstrap());
    for fault in [Fault::CutResponses(10), Fault::Reset, Fault::SlowClose(Duration::from_millis(50))] {
        proxy.set(fault);
        let sent = tokio::spawn({
            let producer = producer.clone();
            async move { producer.send(record("1"), WAIT).await }
        });
        if fault == Fault::CutResponses(10) {
            soon(proxy.has_happened(1)).await;
        }
        if matches!(fault, Fault::SlowClose(_)) {
            proxy.reset();
        }
        proxy.set(Fault::None);
        soon(sent).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn one_client_is_cut_off_and_the_others_are_not() {
    let cluster = cluster(1);
    let proxy = Proxy::before(&cluster);
    let [here, there]: [TracedProducer; 2] = ["here", "there"].map(|client| {
        config(proxy.bootstrap()).set("client.id", client).set("message.timeout.ms", "500").create().unwrap()
    });
    soon(there.send(record("1"), WAIT)).await.unwrap();
    proxy.sever("there");
    soon(here.send(record("2"), WAIT)).await.unwrap();
    soon(there.send(record("3"), WAIT)).await.unwrap_err();
    proxy.heal("there");
    soon(there.send(record("4"), WAIT)).await.unwrap();
}

#[tokio::test]
async fn offsets_are_seen_on_their_way() {
    use rdkafka::consumer::{CommitMode, Consumer as _};
    let cluster = cluster(1);
    let (seen, mut commits) = tokio::sync::mpsc::unbounded_channel();
    let proxy = Proxy::watching(&cluster, move |commit| drop(seen.send(commit)));
    let producer = producer(proxy.bootstrap());
    producer.send(record("1"), WAIT).await.unwrap();
    let consumer = consumer(proxy.bootstrap());
    let message = soon(consumer.recv()).await.unwrap();
    consumer.commit_message(&message, CommitMode::Sync).unwrap();
    let commit = soon(commits.recv()).await.unwrap();
    assert_eq!((commit.group.as_str(), commit.topic.as_str()), ("faults", TOPIC));
    assert_eq!((commit.partition, commit.offset), (0, 1));
}
