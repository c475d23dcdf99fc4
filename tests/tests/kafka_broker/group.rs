//! Members of a group come and go while records arrive (kafka.md F-G1), run by the library's own consumer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry::trace::FutureExt as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::FutureRecord;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use throughline::kafka::{Consumer, Record, RunnerHandle, tracked};
use tokio::sync::watch;

use super::support::{Broker, blocking, soon, unsampled};

const PARTITIONS: i32 = 6;
const WAIT: Duration = Duration::from_secs(30);

type Place = (i32, i64);

/// What members did: how often each record was handled, and by whom last.
#[derive(Clone)]
struct Log {
    handled: Arc<Mutex<BTreeMap<Place, Vec<u32>>>>,
    count: Arc<watch::Sender<[usize; 3]>>,
}

impl Log {
    fn new() -> Self {
        Log { handled: Arc::default(), count: Arc::new(watch::channel([0; 3]).0) }
    }

    fn handle(&self, member: u32, record: &Record) {
        let value = String::from_utf8(record.value().clone().unwrap()).unwrap();
        assert_eq!(throughline::trace_id(), Some(value), "handled in the trace of its sender");
        let place = (record.partition().unwrap(), record.offset().unwrap());
        self.handled.lock().unwrap().entry(place).or_default().push(member);
        self.count.send_modify(|count| count[member as usize] += 1);
    }

    /// Waits until a member has handled so many records.
    async fn reaches(&self, member: usize, count: usize) {
        soon(self.count.subscribe().wait_for(|counts| counts[member] >= count)).await.unwrap();
    }
}

fn member(config: ClientConfig, topic: &str, number: u32, log: &Log) -> RunnerHandle {
    let log = log.clone();
    let handler = move |record: Record| {
        let log = log.clone();
        async move {
            log.handle(number, &record);
            tokio::task::yield_now().await;
        }
    };
    let consumer = Consumer::from_config(config).group(topic).topics([topic]);
    consumer.commit(tracked(Duration::from_millis(100), 50)).start(handler).unwrap()
}

/// Sends until it is told to stop; gives where the broker put the records.
async fn produce(broker: ClientConfig, topic: String, mut stop: watch::Receiver<bool>) -> Vec<Place> {
    let producer: throughline::kafka::TracedProducer = broker.create().unwrap();
    let mut places = Vec::new();
    while !*stop.borrow_and_update() {
        let sends = (0..20).map(|_| {
            let (cx, trace) = unsampled();
            let (producer, topic, value) = (&producer, &topic, trace.to_string());
            async move {
                let record = FutureRecord::<str, str>::to(topic).payload(&value);
                producer.send(record, WAIT).await.unwrap_or_else(|(error, _)| panic!("{error}"))
            }
            .with_context(cx)
        });
        let sent = futures_util::future::join_all(sends).await;
        places.extend(sent.into_iter().map(|delivery| (delivery.partition, delivery.offset)));
        // Members are to come and go while records arrive, not after all of them are there.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    places
}

async fn committed(broker: &Broker, topic: &str) -> BTreeMap<i32, Offset> {
    let consumer: BaseConsumer = broker.consumer(topic).create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_range(topic, 0, PARTITIONS - 1);
    let committed = blocking(move || {
        let found = consumer.committed_offsets(list, WAIT).unwrap();
        found.elements().iter().map(|element| (element.partition(), element.offset())).collect()
    });
    committed.await
}

async fn come_and_go(protocol: &[(&str, &str)], graceful: bool) {
    let broker = Broker::start();
    let topic = broker.topic("group", PARTITIONS).await;
    let mut config = broker.consumer(&topic);
    for (key, value) in protocol {
        config.set(*key, *value);
    }
    if config.get("group.protocol").is_none() && !broker.is_real() {
        // kafka.md R-18: the embedded cluster waits for sessions to end. A real one is told who leaves, and a short session
        // would make a loaded machine lose its members.
        config.set("session.timeout.ms", "1200").set("heartbeat.interval.ms", "50");
    }
    let (stop, stopped) = watch::channel(false);
    let sending = tokio::spawn(produce(broker.config(), topic.clone(), stopped));
    let log = Log::new();

    let first = member(config.clone(), &topic, 0, &log);
    log.reaches(0, 200).await;
    let second = member(config.clone(), &topic, 1, &log);
    log.reaches(1, 200).await;
    let mut ends = Vec::new();
    if graceful {
        ends.push(soon(first.close(WAIT)).await.unwrap());
    } else {
        drop(first);
    }
    let third = member(config, &topic, 2, &log);
    log.reaches(2, 200).await;
    if graceful {
        ends.push(soon(second.close(WAIT)).await.unwrap());
    } else {
        drop(second);
    }
    stop.send(true).unwrap();
    let sent = soon(sending).await.unwrap();
    let all = async {
        let mut count = log.count.subscribe();
        while log.handled.lock().unwrap().len() < sent.len() {
            count.changed().await.unwrap();
        }
    };
    soon(all).await;
    let expected = |partition| {
        let last = sent.iter().filter(|place| place.0 == partition).map(|place| place.1).max();
        last.map_or(Offset::Invalid, |last| Offset::Offset(last + 1))
    };
    // kafka.md R-18: the embedded cluster refuses commits while a group joins, also the last one of a close.
    let settled = async {
        while committed(&broker, &topic).await.iter().any(|(partition, next)| *next != expected(*partition)) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    soon(settled).await;
    ends.push(soon(third.close(WAIT)).await.unwrap());
    assert!(ends.iter().all(|end| end.unfinished == 0 && end.rebalances > 0), "{ends:?}");

    let handled = log.handled.lock().unwrap().clone();
    for place in &sent {
        assert!(handled.contains_key(place), "{place:?} is lost");
    }
    assert_eq!(handled.len(), sent.len(), "nothing from nowhere");
    let again: Vec<_> = handled.iter().filter(|(_, members)| members.len() > 1).collect();
    if graceful && broker.is_real() {
        assert!(again.is_empty(), "who leaves in good order leaves nothing to be done again: {again:?}");
    }
    for (partition, next) in committed(&broker, &topic).await {
        assert_eq!(next, expected(partition), "partition {partition}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_that_leave_in_good_order_lose_nothing() {
    come_and_go(&[], true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_that_vanish_lose_nothing() {
    come_and_go(&[], false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn range_assignment_loses_nothing() {
    come_and_go(&[("partition.assignment.strategy", "range")], true).await;
}

/// The protocol of KIP-848, in which the broker assigns.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_new_group_protocol_loses_nothing() {
    come_and_go(&[("group.protocol", "consumer")], true).await;
}
