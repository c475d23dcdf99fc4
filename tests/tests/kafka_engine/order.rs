//! K-3: in which order records are handled, and how many at once.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use throughline::kafka::{Concurrency, Record, by_key, per_partition, sequential};

use super::support::{Broker, Log, assert_in_order, at_once, healthy, soon};

/// Partition, offset and value of each record.
type Batch = Vec<(i32, i64, u64)>;

async fn handle_all(broker: &Broker, concurrency: Concurrency, records: u64) -> Log {
    broker.produce(0..records);
    let log = Log::default();
    let seen = log.clone();
    let runner = broker
        .consumer()
        .concurrency(concurrency)
        .start(move |record: Record| {
            let log = seen.clone();
            async move {
                let call = log.begin(&record);
                tokio::task::yield_now().await;
                log.end(call);
            }
        })
        .unwrap();
    log.has_handled(0..records).await;
    broker.has_committed(i64::try_from(records).unwrap() / i64::from(broker.partitions)).await;
    let report = soon(runner.close(Duration::from_secs(20))).await.unwrap();
    assert_eq!((report.handled, report.unfinished, report.late_results), (records, 0, 0));
    log
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_keep_their_order_and_so_many_run_at_once() {
    let broker = Broker::start(6);
    let log = handle_all(&broker, per_partition(3), 3_000).await;
    let partitions = log.by(|call| call.place.0);
    assert_eq!(partitions.len(), 6);
    partitions.values().for_each(|calls| assert_in_order(calls));
    assert!(at_once(&log.calls()) <= 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_keep_their_order() {
    let broker = Broker::start(2);
    let log = handle_all(&broker, by_key(16), 2_000).await;
    let keys = log.by(|call| (call.place.0, call.key.clone()));
    assert_eq!(keys.len(), 20);
    keys.values().for_each(|calls| assert_in_order(calls));
    assert!(at_once(&log.calls()) <= 16);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sequential_is_one_at_a_time() {
    let broker = Broker::start(4);
    let log = handle_all(&broker, sequential(), 1_000).await;
    assert_eq!(at_once(&log.calls()), 1);
    log.by(|call| call.place.0).values().for_each(|calls| assert_in_order(calls));
}

/// A key whose handler waits holds up neither other keys of its partition nor the commit of those before it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_do_not_wait_for_one_another() {
    let broker = Broker::start(1);
    broker.produce(0..4);
    let (log, door) = (Log::default(), super::support::Door::closed());
    let (seen, waits) = (log.clone(), door.clone());
    let runner = broker
        .consumer()
        // That one of three keys shares a lane with the one that waits is all but impossible.
        .concurrency(by_key(10_000))
        .start(move |record: Record| {
            let (log, door) = (seen.clone(), waits.clone());
            async move {
                let call = log.begin(&record);
                if record.key() == Some(b"k3") {
                    door.pass().await;
                }
                log.end(call);
            }
        })
        .unwrap();
    log.has_ended(3).await;
    // A record is in flight for a moment longer than its handler runs.
    healthy(&runner, |health| health.in_flight == 1).await;
    door.open();
    log.has_ended(4).await;
    let report = soon(runner.close(Duration::from_secs(20))).await.unwrap();
    assert_eq!(report.handled, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_are_of_one_partition_in_order_and_bounded() {
    let broker = Broker::start(3);
    broker.produce(0..3_000);
    for concurrency in [per_partition(2), by_key(4)] {
        let batches: Arc<std::sync::Mutex<Vec<Batch>>> = Arc::default();
        let seen = Arc::clone(&batches);
        let log = Log::default();
        let counted = log.clone();
        let runner = throughline::kafka::Consumer::from_config(broker.config())
            .group(format!("{concurrency:?}"))
            .topics([super::support::TOPIC])
            .concurrency(concurrency)
            .batch(70, Duration::from_millis(20))
            .start(move |records: Vec<Record>| {
                let (batches, log) = (Arc::clone(&seen), counted.clone());
                async move {
                    let place = |record: &Record| {
                        let value = String::from_utf8(record.value().clone().unwrap()).unwrap();
                        (record.partition().unwrap(), record.offset().unwrap(), value.parse().unwrap())
                    };
                    batches.lock().unwrap().push(records.iter().map(place).collect());
                    for record in &records {
                        let call = log.begin(record);
                        log.end(call);
                    }
                }
            })
            .unwrap();
        log.has_handled(0..3_000).await;
        let report = soon(runner.close(Duration::from_secs(20))).await.unwrap();
        assert_eq!(report.handled, 3_000);
        let batches = batches.lock().unwrap();
        let mut values = HashSet::new();
        for batch in batches.iter() {
            assert!(!batch.is_empty() && batch.len() <= 70, "{}", batch.len());
            assert!(batch.windows(2).all(|pair| pair[0].0 == pair[1].0 && pair[0].1 < pair[1].1));
            values.extend(batch.iter().map(|(_, _, value)| *value));
        }
        assert_eq!(values.len(), 3_000);
        assert!(batches.len() < 3_000, "no batch had two records");
    }
}

/// `max_in_flight` bounds what is taken, whatever waits in librdkafka (K-7).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_is_taken_than_may_be_in_flight() {
    let broker = Broker::start(4);
    broker.produce(0..2_000);
    let (log, door) = (Log::default(), super::support::Door::closed());
    let runner = broker.consumer().concurrency(by_key(8)).max_in_flight(50).start(log.behind(&door)).unwrap();
    healthy(&runner, |health| health.in_flight == 50).await;
    door.open();
    log.has_handled(0..2_000).await;
    soon(runner.close(Duration::from_secs(20))).await.unwrap();
}
