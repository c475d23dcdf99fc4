//! A cluster per test, records in it, and a log of what the handlers saw.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use throughline::kafka::{Consumer, Record, RunnerHandle};
use throughline_tests::kafka::cluster::Cluster;
use tokio::sync::watch;

pub(crate) const TOPIC: &str = "orders";
pub(crate) const GROUP: &str = "billing";

/// A deadline for what must come; a test that hangs says nothing.
pub(crate) async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), work).await.expect("within a minute")
}

pub(crate) struct Broker {
    pub cluster: Cluster,
    pub partitions: i32,
    bootstrap: String,
}

impl Broker {
    pub(crate) fn start(partitions: i32) -> Self {
        let cluster = Cluster::start(1);
        cluster.session_timeout(Duration::from_secs(30));
        cluster.mock().create_topic(TOPIC, partitions, 1).unwrap();
        Self::on(cluster, partitions)
    }

    /// On a cluster that has the topic, with so many partitions.
    pub(crate) fn on(cluster: Cluster, partitions: i32) -> Self {
        let bootstrap = cluster.bootstrap();
        Broker { cluster, partitions, bootstrap }
    }

    /// Clients go through this address from now on.
    pub(crate) fn through(mut self, bootstrap: &str) -> Self {
        self.bootstrap = bootstrap.to_owned();
        self
    }

    /// Of a KIP-848 group, which joins at once, and loses no member of a machine that is busy.
    pub(crate) fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.bootstrap)
            .set("fetch.wait.max.ms", "10")
            .set("group.protocol", "consumer")
            .set("auto.offset.reset", "earliest");
        config
    }

    /// Of a classic group, whose rebalances take the session timeout less a second.
    pub(crate) fn classic(&self, strategy: &str) -> ClientConfig {
        let mut config = self.config();
        config.remove("group.protocol");
        config
            .set("session.timeout.ms", "1200")
            .set("heartbeat.interval.ms", "50")
            .set("partition.assignment.strategy", strategy);
        config
    }

    pub(crate) fn consumer(&self) -> Consumer {
        Consumer::from_config(self.config()).group(GROUP).topics([TOPIC])
    }

    /// Puts records into partitions in turn; the keys of a partition are `k0` to `k9` in turn, the values rise.
    pub(crate) fn produce(&self, records: std::ops::Range<u64>) {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.cluster.bootstrap()).set("linger.ms", "5");
        let producer: BaseProducer = config.create().unwrap();
        for number in records {
            let partitions = u64::try_from(self.partitions).unwrap();
            let key = format!("k{}", number / partitions % 10);
            let value = number.to_string();
            let partition = i32::try_from(number % partitions).unwrap();
            let mut record = BaseRecord::to(TOPIC).partition(partition).key(&key).payload(&value);
            while let Err((_, back)) = producer.send(record) {
                record = back;
                producer.poll(Duration::from_millis(1));
            }
        }
        producer.flush(Duration::from_secs(30)).unwrap();
    }

    /// The committed offset of each partition; 0 where nothing is committed.
    pub(crate) fn committed(&self) -> Vec<i64> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.cluster.bootstrap()).set("group.id", GROUP);
        let consumer: BaseConsumer = config.create().unwrap();
        let mut list = TopicPartitionList::new();
        for partition in 0..self.partitions {
            list.add_partition(TOPIC, partition);
        }
        let committed = consumer.committed_offsets(list, Duration::from_secs(30)).unwrap();
        let offset = |partition| match committed.find_partition(TOPIC, partition).unwrap().offset() {
            Offset::Offset(offset) => offset,
            _ => 0,
        };
        (0..self.partitions).map(offset).collect()
    }
}

impl Broker {
    /// Waits until so much of each partition is committed. What a member lost, or could not commit, comes again.
    pub(crate) async fn has_committed(&self, each: i64) {
        soon(async {
            while self.committed().iter().any(|committed| *committed != each) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }
}

/// One call of a handler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub place: (i32, i64),
    pub key: Option<String>,
    pub value: u64,
    pub begun: u64,
    /// None while it runs, and if it was dropped.
    pub ended: Option<u64>,
}

/// What handlers did, on a clock that ticks with each event. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    calls: Arc<Mutex<(u64, Vec<Call>)>>,
    ended: watch::Sender<usize>,
    begun: watch::Sender<usize>,
}

impl Default for Log {
    fn default() -> Self {
        Log { calls: Arc::default(), ended: watch::Sender::new(0), begun: watch::Sender::new(0) }
    }
}

impl Log {
    fn with<T>(&self, change: impl FnOnce(&mut u64, &mut Vec<Call>) -> T) -> T {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let (clock, calls) = &mut *calls;
        *clock += 1;
        change(clock, calls)
    }

    pub(crate) fn begin(&self, record: &Record) -> usize {
        let index = self.with(|clock, calls| {
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            calls.push(Call {
                place: (record.partition().unwrap(), record.offset().unwrap()),
                key: record.key().map(text),
                value: record.value().as_deref().map(text).unwrap().parse().unwrap(),
                begun: *clock,
                ended: None,
            });
            calls.len() - 1
        });
        self.begun.send_modify(|begun| *begun += 1);
        index
    }

    pub(crate) fn end(&self, call: usize) {
        self.with(|clock, calls| calls[call].ended = Some(*clock));
        self.ended.send_modify(|ended| *ended += 1);
    }

    /// A handler that notes its calls.
    pub(crate) fn handler(
        &self,
    ) -> impl Fn(Record) -> BoxFuture<'static, ()> + Clone + Send + Sync + 'static {
        let log = self.clone();
        move |record| {
            let log = log.clone();
            Box::pin(async move {
                let call = log.begin(&record);
                log.end(call);
            })
        }
    }

    /// The same, but each call waits at the door.
    pub(crate) fn behind(
        &self,
        door: &Door,
    ) -> impl Fn(Record) -> BoxFuture<'static, ()> + Clone + Send + Sync + 'static {
        let (log, door) = (self.clone(), door.clone());
        move |record| {
            let (log, door) = (log.clone(), door.clone());
            Box::pin(async move {
                let call = log.begin(&record);
                door.pass().await;
                log.end(call);
            })
        }
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.with(|_, calls| calls.clone())
    }

    /// Waits until so many calls have begun.
    pub(crate) async fn has_begun(&self, calls: usize) {
        soon(self.begun.subscribe().wait_for(|begun| *begun >= calls)).await.unwrap();
    }

    /// Waits until so many calls have ended.
    pub(crate) async fn has_ended(&self, calls: usize) {
        soon(self.ended.subscribe().wait_for(|ended| *ended >= calls)).await.unwrap();
    }

    /// Waits until each of the values was handled at least once.
    pub(crate) async fn has_handled(&self, values: std::ops::Range<u64>) {
        let mut ended = self.ended.subscribe();
        let all = |log: &Self| {
            log.with(|_, calls| {
                let handled: std::collections::HashSet<_> =
                    calls.iter().filter(|call| call.ended.is_some()).map(|call| call.value).collect();
                values.clone().all(|value| handled.contains(&value))
            })
        };
        soon(async {
            let count = usize::try_from(values.end - values.start).unwrap();
            ended.wait_for(|ended| *ended >= count).await.unwrap();
            while !all(self) {
                ended.changed().await.unwrap();
            }
        })
        .await;
    }

    /// Calls by what `of` says, each group in the order in which they began.
    pub(crate) fn by<K: Ord>(&self, of: impl Fn(&Call) -> K) -> BTreeMap<K, Vec<Call>> {
        let mut groups: BTreeMap<K, Vec<Call>> = BTreeMap::new();
        for call in self.calls() {
            groups.entry(of(&call)).or_default().push(call);
        }
        groups
    }
}

/// Each call begins after the one before has ended, with a higher offset (K-3).
pub(crate) fn assert_in_order(calls: &[Call]) {
    for pair in calls.windows(2) {
        assert!(pair[0].place.1 < pair[1].place.1, "{pair:?}");
        assert!(pair[0].ended.is_some_and(|ended| ended < pair[1].begun), "{pair:?}");
    }
}

/// How many calls ran at once at most.
pub(crate) fn at_once(calls: &[Call]) -> usize {
    let mut events: Vec<(u64, bool)> = Vec::new();
    for call in calls {
        events.push((call.begun, true));
        events.extend(call.ended.map(|ended| (ended, false)));
    }
    events.sort_unstable();
    let (mut now, mut most) = (0_usize, 0);
    for (_, begins) in events {
        now = if begins { now + 1 } else { now - 1 };
        most = most.max(now);
    }
    most
}

/// A door that handlers wait at until it is opened.
#[derive(Clone, Debug)]
pub(crate) struct Door(watch::Sender<bool>);

impl Door {
    pub(crate) fn closed() -> Self {
        Door(watch::Sender::new(false))
    }

    pub(crate) fn open(&self) {
        self.0.send_replace(true);
    }

    pub(crate) async fn pass(&self) {
        self.0.subscribe().wait_for(|open| *open).await.unwrap();
    }
}

/// Waits until health says so.
pub(crate) async fn healthy(
    runner: &RunnerHandle,
    is_so: impl Fn(&throughline::kafka::RunnerHealth) -> bool,
) {
    soon(async {
        while !is_so(&runner.health()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}
