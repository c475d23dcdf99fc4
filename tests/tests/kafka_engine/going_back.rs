//! K-3 and K-5 where a partition goes back: librdkafka delivers records for the second time, or those of a log that was
//! cut.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::mocking::MockCoordinator;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use throughline::kafka::{Attempt, Consumer, Record, RunnerHandle, by_key, per_partition, tracked};
use tokio::sync::watch;

use super::support::{Broker, Door, GROUP, TOPIC, healthy, soon};

/// Generation, partition and offset.
type Call = (u64, i32, i64);

/// The calls that have ended, in the order in which they began.
#[derive(Clone)]
struct Calls {
    begun: Arc<Mutex<Vec<Call>>>,
    ended: watch::Sender<usize>,
}

impl Calls {
    fn new() -> Self {
        Calls { begun: Arc::default(), ended: watch::Sender::new(0) }
    }

    fn begin(&self, record: &Record, attempt: Attempt) {
        let call = (attempt.generation(), record.partition().unwrap(), record.offset().unwrap());
        self.begun.lock().unwrap().push(call);
    }

    fn end(&self, calls: usize) {
        self.ended.send_modify(|ended| *ended += calls);
    }

    async fn have_ended(&self, calls: usize) {
        soon(self.ended.subscribe().wait_for(|ended| *ended >= calls)).await.unwrap();
    }

    fn all(&self) -> Vec<Call> {
        self.begun.lock().unwrap().clone()
    }

    /// The offsets of each generation of each partition.
    fn by_generation(&self) -> BTreeMap<(u64, i32), Vec<i64>> {
        let mut generations: BTreeMap<_, Vec<i64>> = BTreeMap::new();
        for (generation, partition, offset) in self.all() {
            generations.entry((generation, partition)).or_default().push(offset);
        }
        generations
    }

    fn assert_generations_keep_their_order(&self) {
        for (generation, offsets) in self.by_generation() {
            assert!(offsets.windows(2).all(|pair| pair[0] < pair[1]), "{generation:?}: {offsets:?}");
        }
    }
}

fn each_by_itself(consumer: Consumer, calls: &Calls) -> RunnerHandle {
    let calls = calls.clone();
    let start = consumer.start(move |record: Record, attempt: Attempt| {
        let calls = calls.clone();
        async move {
            calls.begin(&record, attempt);
            tokio::task::yield_now().await;
            calls.end(1);
        }
    });
    start.unwrap()
}

/// The broker says that the offset which comes next is out of range, so that librdkafka begins anew.
fn out_of_range(broker: &Broker) {
    let error = RDKafkaRespErr::RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE;
    broker.cluster.mock().request_errors(RDKafkaApiKey::Fetch, &[error]);
}

async fn goes_back(
    consumer: impl FnOnce(Consumer) -> Consumer,
    start: impl FnOnce(Consumer, &Calls) -> RunnerHandle,
) {
    let broker = Broker::start(1);
    broker.produce(0..40);
    let calls = Calls::new();
    let fast = tracked(Duration::from_millis(20), 10);
    let runner = start(consumer(broker.consumer().commit(fast)), &calls);
    calls.have_ended(40).await;
    broker.has_committed(40).await;
    out_of_range(&broker);
    calls.have_ended(80).await;
    broker.produce(40..50);
    calls.have_ended(90).await;
    broker.has_committed(50).await;
    assert_eq!(runner.health().partitions, 1);
    let report = soon(runner.close(Duration::from_secs(20))).await.unwrap();
    assert_eq!((report.handled, report.unfinished, report.late_results), (90, 0, 0), "{report:?}");
    let mut generations: Vec<_> = calls.by_generation().into_values().collect();
    generations.iter_mut().for_each(|offsets| offsets.sort_unstable());
    assert_eq!(generations, [(0..40).collect::<Vec<_>>(), (0..50).collect()]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_that_come_again_are_a_new_generation() {
    goes_back(|consumer| consumer.concurrency(per_partition(2)), each_by_itself).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_that_come_again_by_key_are_a_new_generation() {
    goes_back(|consumer| consumer.concurrency(by_key(4)), each_by_itself).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_that_come_again_in_batches_are_a_new_generation() {
    goes_back(
        |consumer| consumer.batch(7, Duration::from_millis(5)),
        |consumer, calls| {
            let calls = calls.clone();
            let start = consumer.start(move |records: Vec<Record>, attempt: Attempt| {
                let calls = calls.clone();
                async move {
                    records.iter().for_each(|record| calls.begin(record, attempt));
                    tokio::task::yield_now().await;
                    calls.end(records.len());
                }
            });
            start.unwrap()
        },
    )
    .await;
}

/// By key, others run when a partition goes back: they end before the first record of the new generation begins, and until
/// then nothing from there on is committed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_generation_begins_when_the_old_one_has_ended() {
    let broker = Broker::start(1);
    broker.produce(0..40);
    let (calls, door) = (Calls::new(), Door::closed());
    let (seen, waits) = (calls.clone(), door.clone());
    let runner = broker
        .consumer()
        .commit(tracked(Duration::from_millis(20), 10))
        // So many lanes that hardly two keys share one.
        .concurrency(by_key(100_000))
        .start(move |record: Record, attempt: Attempt| {
            let (calls, door) = (seen.clone(), waits.clone());
            async move {
                calls.begin(&record, attempt);
                if record.key() == Some(b"k3") && record.offset() == Some(3) {
                    door.pass().await;
                }
                calls.end(1);
            }
        })
        .unwrap();
    // All but those of the key that waits.
    calls.have_ended(36).await;
    broker.has_committed(3).await;
    out_of_range(&broker);
    broker.produce(40..50);
    // It goes back at once; as long as the test waits for what must not happen.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let first = calls.all()[0].0;
    assert!(calls.all().iter().all(|(generation, ..)| *generation == first), "{:?}", calls.all());
    assert_eq!(broker.committed(), [3]);
    door.open();
    calls.have_ended(90).await;
    broker.has_committed(50).await;
    soon(runner.close(Duration::from_secs(20))).await.unwrap();
    assert_eq!(calls.by_generation().len(), 2);
}

/// What is committed follows a partition that goes back: who comes next begins where this one is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_commit_goes_back_as_well() {
    let broker = Broker::start(1);
    broker.produce(0..40);
    let (calls, door) = (Calls::new(), Door::closed());
    let (seen, waits) = (calls.clone(), door.clone());
    let runner = broker
        .consumer()
        .commit(tracked(Duration::from_millis(20), 10))
        .start(move |record: Record, attempt: Attempt| {
            let (calls, door) = (seen.clone(), waits.clone());
            async move {
                let is_second = calls.all().len() >= 40;
                calls.begin(&record, attempt);
                if is_second && record.offset() == Some(10) {
                    door.pass().await;
                }
                calls.end(1);
            }
        })
        .unwrap();
    calls.have_ended(40).await;
    broker.has_committed(40).await;
    out_of_range(&broker);
    calls.have_ended(50).await;
    broker.has_committed(10).await;
    door.open();
    calls.have_ended(80).await;
    broker.has_committed(40).await;
    soon(runner.close(Duration::from_secs(20))).await.unwrap();
}

/// librdkafka 2.12 stops the fetcher of a partition that is given up, but starts it again by itself if it had asked for the
/// ends of the log just then. What it fetches meanwhile waits in the queue for the next assignment, which begins elsewhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_fetched_without_an_assignment_is_not_handled() {
    const COORDINATOR: i32 = 1;
    const LEADER: i32 = 2;
    let cluster = throughline_tests::kafka::cluster::Cluster::start(2);
    let group = MockCoordinator::Group(GROUP.to_owned());
    cluster.mock().coordinator(group, COORDINATOR).unwrap();
    cluster.mock().create_topic(TOPIC, 2, 1).unwrap();
    for partition in 0..2 {
        cluster.mock().partition_leader(TOPIC, partition, Some(LEADER)).unwrap();
    }
    let broker = Broker::on(cluster, 2);
    broker.produce(0..200);
    broker.cluster.mock().broker_round_trip_time(LEADER, Duration::from_secs(1)).unwrap();

    let start = |config: ClientConfig| Consumer::from_config(config).group(GROUP).topics([TOPIC]);
    let calls = Calls::new();
    let first = each_by_itself(start(broker.classic("range")), &calls);
    healthy(&first, |health| health.partitions == 2).await;
    // Asks where the logs begin; before it is told, a second member takes one of the partitions.
    let (held, closed) = (Calls::new(), Door::closed());
    let seen = held.clone();
    let second = start(broker.classic("range")).start(move |record: Record, attempt: Attempt| {
        let (held, closed) = (seen.clone(), closed.clone());
        async move {
            held.begin(&record, attempt);
            closed.pass().await;
        }
    });
    let second = second.unwrap();
    healthy(&second, |health| health.partitions == 1).await;
    healthy(&first, |health| health.partitions == 1).await;
    broker.cluster.mock().broker_round_trip_time(LEADER, Duration::ZERO).unwrap();
    // As long as the fault lasts: librdkafka asks again half a second after the answer, and then fetches.
    tokio::time::sleep(Duration::from_secs(3)).await;
    // So long the group's offset of the partition is unknown.
    let long = Duration::from_millis(300);
    broker.cluster.mock().broker_round_trip_time(COORDINATOR, long).unwrap();
    drop(second);
    healthy(&first, |health| health.partitions == 2).await;
    soon(async {
        let all = |calls: &Calls| {
            (0..2).all(|partition| calls.all().iter().any(|call| (call.1, call.2) == (partition, 99)))
        };
        while !all(&calls) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    broker.cluster.mock().broker_round_trip_time(COORDINATOR, Duration::ZERO).unwrap();
    broker.produce(200..220);
    broker.has_committed(110).await;
    soon(first.close(Duration::from_secs(20))).await.unwrap();
    calls.assert_generations_keep_their_order();
    // Where nothing was handled before, nothing was handled twice.
    let away = held.all()[0].1;
    let handled: Vec<_> = calls.all().iter().filter(|call| call.1 == away).map(|call| call.2).collect();
    assert_eq!(handled, (0..110).collect::<Vec<_>>());
}
