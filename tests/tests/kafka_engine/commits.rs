//! K-1, K-2: what is committed, and when.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use throughline::kafka::{Consumer, Record, by_key, per_record, tracked};
use throughline_tests::kafka::proxy::{CommitRequest, Proxy};

use super::support::{Broker, Door, GROUP, Log, TOPIC, soon};

/// A broker behind a proxy that writes down what clients ask it to commit.
fn watched(partitions: i32) -> (Broker, Proxy, Arc<Mutex<Vec<CommitRequest>>>) {
    let broker = Broker::start(partitions);
    let requests: Arc<Mutex<Vec<CommitRequest>>> = Arc::default();
    let seen = Arc::clone(&requests);
    let proxy = Proxy::watching(&broker.cluster, move |request| seen.lock().unwrap().push(request));
    let broker = broker.through(proxy.bootstrap());
    (broker, proxy, requests)
}

/// At the moment a commit goes by, all records below it have ended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_commit_is_beyond_the_first_unfinished_record() {
    let broker = Broker::start(3);
    broker.produce(0..3_000);
    let log = Log::default();
    let beyond: Arc<Mutex<Vec<String>>> = Arc::default();
    let (seen, wrong) = (log.clone(), Arc::clone(&beyond));
    let commits = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = Arc::clone(&commits);
    let proxy = Proxy::watching(&broker.cluster, move |request| {
        counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let mut ended: BTreeMap<i64, bool> = BTreeMap::new();
        for call in seen.calls().iter().filter(|call| call.place.0 == request.partition) {
            *ended.entry(call.place.1).or_default() |= call.ended.is_some();
        }
        let below = usize::try_from(request.offset).unwrap();
        let finished = ended.range(..request.offset).filter(|(_, ended)| **ended).count();
        if finished != below {
            wrong.lock().unwrap().push(format!("{request:?} with {finished} finished"));
        }
    });
    let broker = broker.through(proxy.bootstrap());
    let handled = log.clone();
    let runner = broker
        .consumer()
        .concurrency(by_key(32))
        .commit(tracked(Duration::from_millis(20), 50))
        .start(move |record: Record| {
            let log = handled.clone();
            async move {
                let call = log.begin(&record);
                // Some take longer, so that others overtake them.
                for _ in 0..(record.offset().unwrap() % 7) * 20 {
                    tokio::task::yield_now().await;
                }
                log.end(call);
            }
        })
        .unwrap();
    log.has_handled(0..3_000).await;
    broker.has_committed(1_000).await;
    soon(runner.close(Duration::from_secs(20))).await.unwrap();
    assert!(commits.load(std::sync::atomic::Ordering::Relaxed) >= 3);
    let beyond = beyond.lock().unwrap();
    assert!(beyond.is_empty(), "{beyond:#?}");
}

/// One record that does not end holds the commit where it is, and nothing else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unfinished_record_holds_the_commit() {
    let (broker, _proxy, requests) = watched(1);
    broker.produce(0..50);
    let (log, door) = (Log::default(), Door::closed());
    let (seen, waits) = (log.clone(), door.clone());
    let runner = broker
        .consumer()
        .concurrency(by_key(100_000))
        .commit(tracked(Duration::from_millis(10), 1))
        .drain(Duration::from_millis(200))
        .start(move |record: Record| {
            let (log, door) = (seen.clone(), waits.clone());
            async move {
                let call = log.begin(&record);
                if record.offset() == Some(13) {
                    door.pass().await;
                }
                log.end(call);
            }
        })
        .unwrap();
    // Of its key (those that end with 3) none follows.
    log.has_ended(46).await;
    let report = soon(runner.close(Duration::from_secs(10))).await.unwrap();
    assert_eq!((report.handled, report.late_results), (46, 0));
    assert_eq!(report.unfinished, 4);
    assert_eq!(broker.committed(), [13]);
    assert!(requests.lock().unwrap().iter().all(|request| request.offset <= 13));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn next_member_goes_on_where_the_last_one_was() {
    let broker = Broker::start(2);
    for round in 0..3 {
        broker.produce(round * 100..(round + 1) * 100);
        let log = Log::default();
        let runner = broker.consumer().start(log.handler()).unwrap();
        log.has_handled(round * 100..(round + 1) * 100).await;
        soon(runner.close(Duration::from_secs(20))).await.unwrap();
        // Nothing twice: neither of this round nor of those before.
        assert_eq!(log.calls().len(), 100);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn per_record_commits_before_the_next_one_begins() {
    let (broker, _proxy, requests) = watched(1);
    broker.produce(0..20);
    let log = Log::default();
    let (seen, asked) = (log.clone(), Arc::clone(&requests));
    let late: Arc<Mutex<Vec<i64>>> = Arc::default();
    let wrong = Arc::clone(&late);
    let runner = broker
        .consumer()
        .commit(per_record())
        .start(move |record: Record| {
            let (log, requests, late) = (seen.clone(), Arc::clone(&asked), Arc::clone(&wrong));
            async move {
                let call = log.begin(&record);
                let offset = record.offset().unwrap();
                let last = requests.lock().unwrap().last().map_or(0, |request| request.offset);
                if last != offset {
                    late.lock().unwrap().push(offset);
                }
                log.end(call);
            }
        })
        .unwrap();
    log.has_handled(0..20).await;
    soon(runner.close(Duration::from_secs(20))).await.unwrap();
    assert_eq!(*late.lock().unwrap(), [] as [i64; 0]);
    let offsets: Vec<_> = requests.lock().unwrap().iter().map(|request| request.offset).collect();
    assert_eq!(offsets, (1..=20).collect::<Vec<_>>());
}

/// A commit that the broker refuses is repaired by the next one (B7), and is seen in health.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_commit_is_repaired_by_the_next() {
    use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
    let broker = Broker::start(1);
    let refused = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED; 3];
    broker.cluster.mock().request_errors(RDKafkaApiKey::OffsetCommit, &refused);
    broker.produce(0..10);
    let log = Log::default();
    let runner = Consumer::from_config(broker.config())
        .group(GROUP)
        .topics([TOPIC])
        .commit(tracked(Duration::from_millis(20), 500))
        .start(log.handler())
        .unwrap();
    log.has_handled(0..10).await;
    broker.has_committed(10).await;
    super::support::healthy(&runner, |health| health.commits_failing_ms.is_none()).await;
    assert!(runner.health().last_error.is_some());
    let report = soon(runner.close(Duration::from_secs(20))).await.unwrap();
    assert!(report.failed_commits >= 1, "{report:?}");
    assert_eq!(report.handled, 10);
}
