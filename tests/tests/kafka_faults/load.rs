//! A run under load: producers, members of a group, the proxy between them and the cluster, and the checker that has
//! the last word.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry::trace::{
    FutureExt as _, SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState,
};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{DefaultProducerContext, FutureRecord, Producer as _};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};
use throughline::kafka::{Attempt, Consumer, Headers, Record, Report, RunnerHandle, State, TracedProducer};
use throughline::{Setup, Telemetry};
use throughline_tests::kafka::checker::{Ack, Begins, Checker, Outcome, Place, Records};
use throughline_tests::kafka::cluster::Cluster;
use throughline_tests::kafka::proxy::Proxy;
use throughline_tests::kafka::spans::{Seen, SpanKeeper};
use throughline_tests::kafka::verdict::{Order, Verdict};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::support::{TOPIC, WAIT, config};

pub(crate) const GROUP: &str = "load";
pub(crate) const DEAD: &str = "orders.dlq";

/// How long a run may take to come to rest after its last fault. Sessions of the embedded cluster time out in seconds.
const REST: Duration = Duration::from_secs(100);

/// How members share partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Range,
    RoundRobin,
    CooperativeSticky,
    /// KIP-848: the broker assigns.
    Broker,
}

/// The brokers of a run.
enum Servers {
    /// Commits are seen on their way, by the proxy.
    Embedded { cluster: Cluster, proxy: Proxy },
    /// Commits are seen when they have arrived, by the task.
    Real { address: String, observer: JoinHandle<()> },
}

impl Drop for Servers {
    fn drop(&mut self) {
        if let Servers::Real { observer, .. } = self {
            observer.abort();
        }
    }
}

/// What a handler does with a record.
#[derive(Clone, Copy, Debug)]
pub(crate) enum How {
    Handles,
    TakesTime(Duration),
    /// Returns when the flag is no longer set.
    WaitsFor(&'static AtomicBool),
    Fails,
    Panics,
    Hangs,
}

/// A run. One in a process: it has the telemetry.
pub(crate) struct Load {
    pub checker: Checker,
    servers: Servers,
    protocol: Protocol,
    partitions: i32,
    telemetry: Telemetry,
    spans: SpanKeeper,
    stop: watch::Sender<bool>,
    producers: Vec<JoinHandle<()>>,
    members: AtomicU32,
    /// Where the next dead letters are.
    dead_letters_read: Mutex<HashMap<i32, i64>>,
}

/// A run that passed.
pub(crate) struct Judged {
    pub verdict: Verdict,
    pub records: Records,
    pub seen: Seen,
    /// Of the members that were closed last.
    pub reports: Vec<Report>,
}

/// What handlers share.
#[derive(Clone)]
struct Member {
    checker: Checker,
    number: u32,
    skips: bool,
    how: Arc<dyn Fn(usize, u32) -> How + Send + Sync>,
}

#[derive(Debug)]
pub(crate) struct Refused;

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("refused by\r\n\u{1b}[31mthe test")
    }
}

async fn handle(record: Record, State(member): State<Member>, attempt: Attempt) -> Result<(), Refused> {
    let value = record.value().as_deref();
    let number = value.and_then(|value| str::from_utf8(value).ok()?.parse().ok()).unwrap_or(usize::MAX);
    let running = member.checker.begins(Begins {
        place: Place::new(record.topic(), record.partition().unwrap(), record.offset().unwrap()),
        key: record.key(),
        value,
        member: member.number,
        generation: attempt.generation(),
        attempt: attempt.number(),
    });
    match (member.how)(number, attempt.number()) {
        How::Handles => tokio::task::yield_now().await,
        How::TakesTime(time) => tokio::time::sleep(time).await,
        How::WaitsFor(flag) => {
            while flag.load(Ordering::Relaxed) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        How::Fails => {
            let skipped = member.skips && attempt.is_last();
            running.ends(if skipped { Outcome::Skipped } else { Outcome::Failed });
            return Err(Refused);
        }
        How::Panics => {
            running.ends(Outcome::Failed);
            panic!("the handler panics");
        }
        How::Hangs => std::future::pending().await,
    }
    running.ends(Outcome::Handled);
    Ok(())
}

impl Load {
    /// A cluster of three brokers with a topic of so many partitions, spread over them.
    pub(crate) fn start(protocol: Protocol, partitions: i32) -> Self {
        Self::start_with(protocol, partitions, Setup::new("load"))
    }

    pub(crate) fn start_with(protocol: Protocol, partitions: i32, setup: Setup) -> Self {
        let cluster = Cluster::start(3);
        for topic in [TOPIC, DEAD] {
            cluster.mock().create_topic(topic, partitions, 3).unwrap();
            for partition in 0..partitions {
                cluster.mock().partition_leader(topic, partition, Some(partition % 3 + 1)).unwrap();
            }
        }
        let checker = Checker::new();
        let of_proxy = checker.clone();
        let proxy = Proxy::watching(&cluster, move |commit| {
            if commit.group == GROUP {
                of_proxy.commits(&commit.topic, commit.partition, commit.offset);
            }
        });
        Self::of(Servers::Embedded { cluster, proxy }, checker, protocol, partitions, setup)
    }

    /// On a real broker that nobody else uses.
    pub(crate) async fn at(address: &str, protocol: Protocol, partitions: i32) -> Self {
        let admin: AdminClient<DefaultClientContext> = config(address).create().unwrap();
        let topics = [TOPIC, DEAD].map(|topic| NewTopic::new(topic, partitions, TopicReplication::Fixed(1)));
        let wait = AdminOptions::new().operation_timeout(Some(WAIT));
        for created in admin.create_topics(&topics, &wait).await.unwrap() {
            created.unwrap();
        }
        let checker = Checker::new();
        let observer = tokio::spawn(observe(address.to_owned(), checker.clone(), partitions));
        let servers = Servers::Real { address: address.to_owned(), observer };
        Self::of(servers, checker, protocol, partitions, Setup::new("load"))
    }

    fn of(servers: Servers, checker: Checker, protocol: Protocol, partitions: i32, setup: Setup) -> Self {
        let spans = SpanKeeper::default();
        let setup = setup.without_environment().exporters([]).exporter(spans.clone()).subscriber(false);
        // Nothing is dropped for want of room: a missing span is a fault of ours.
        let telemetry = setup.queue_bytes(512 << 20).install().unwrap();
        Load {
            checker,
            servers,
            protocol,
            partitions,
            telemetry,
            spans,
            stop: watch::Sender::new(false),
            producers: Vec::new(),
            members: AtomicU32::new(0),
            dead_letters_read: Mutex::default(),
        }
    }

    fn bootstrap(&self) -> &str {
        match &self.servers {
            Servers::Embedded { proxy, .. } => proxy.bootstrap(),
            Servers::Real { address, .. } => address,
        }
    }

    /// The embedded cluster.
    pub(crate) fn mock(&self) -> MockCluster<'_, DefaultProducerContext> {
        match &self.servers {
            Servers::Embedded { cluster, .. } => cluster.mock(),
            Servers::Real { .. } => panic!("the brokers are real"),
        }
    }

    /// What stands before the embedded cluster.
    pub(crate) fn proxy(&self) -> &Proxy {
        match &self.servers {
            Servers::Embedded { proxy, .. } => proxy,
            Servers::Real { .. } => panic!("the brokers are real"),
        }
    }

    /// Producers that send without end, so many at once, each with a pause after a send.
    pub(crate) fn produce(&mut self, producers: u32, pause: Duration) {
        let mut config = config(self.bootstrap());
        config
            .set("message.timeout.ms", "30000")
            .set("socket.timeout.ms", "2000")
            .set("client.id", "producer");
        let producer: TracedProducer = config.create().unwrap();
        for _ in 0..producers {
            let (config, mut producer, checker) = (config.clone(), producer.clone(), self.checker.clone());
            let stop = self.stop.subscribe();
            self.producers.push(tokio::spawn(async move {
                while !*stop.borrow() {
                    if send(&producer, &checker).await == Ack::Unknown {
                        // It may have forgotten all brokers while they were starting, for good: the runner helps itself
                        // there, a producer is librdkafka's (confluentinc/librdkafka#5301).
                        producer = config.create().unwrap();
                    }
                    tokio::time::sleep(pause).await;
                }
            }));
        }
    }

    /// The configuration of a member called `member-N`.
    pub(crate) fn config(&self, number: u32) -> ClientConfig {
        let mut config = config(self.bootstrap());
        config
            .set("client.id", format!("member-{number}"))
            .set("auto.offset.reset", "earliest")
            .set("fetch.wait.max.ms", "10")
            .set("fetch.error.backoff.ms", "20")
            .set("socket.timeout.ms", "2000")
            .set("topic.metadata.refresh.interval.ms", "500");
        let strategy = match self.protocol {
            Protocol::Range => "range",
            Protocol::RoundRobin => "roundrobin",
            Protocol::CooperativeSticky => "cooperative-sticky",
            Protocol::Broker => {
                config.set("group.protocol", "consumer");
                return config;
            }
        };
        // R-18; a real broker takes no session below six seconds.
        let (session, heartbeat) = match self.servers {
            Servers::Embedded { .. } => ("1200", "50"),
            Servers::Real { .. } => ("6000", "200"),
        };
        config
            .set("partition.assignment.strategy", strategy)
            .set("session.timeout.ms", session)
            .set("heartbeat.interval.ms", heartbeat);
        config
    }

    /// The number of the next member.
    pub(crate) fn next_member(&self) -> u32 {
        self.members.fetch_add(1, Ordering::Relaxed)
    }

    /// A member that handles each record at once.
    pub(crate) fn member(&self) -> RunnerHandle {
        self.member_with(|_, _| How::Handles, |consumer| consumer)
    }

    /// A member that does with each send and attempt what `how` says, set up further by `with`.
    pub(crate) fn member_with(
        &self,
        how: impl Fn(usize, u32) -> How + Send + Sync + 'static,
        with: impl FnOnce(Consumer) -> Consumer,
    ) -> RunnerHandle {
        let number = self.next_member();
        self.member_of(self.config(number), number, false, how, with)
    }

    /// The same with a configuration of its own. `skips`: the policy passes over a record whose attempts are used up.
    pub(crate) fn member_of(
        &self,
        config: ClientConfig,
        number: u32,
        skips: bool,
        how: impl Fn(usize, u32) -> How + Send + Sync + 'static,
        with: impl FnOnce(Consumer) -> Consumer,
    ) -> RunnerHandle {
        let member = Member { checker: self.checker.clone(), number, skips, how: Arc::new(how) };
        let consumer = Consumer::from_config(config).group(GROUP).topics([TOPIC]);
        with(consumer).state(member).start(handle).unwrap()
    }

    /// Waits until so many more records are done than now.
    pub(crate) async fn flows(&self, more: usize) {
        let begun = self.checker.progress().done;
        self.until("records flow", || self.checker.progress().done >= begun + more).await;
    }

    /// Waits until everything is done that has been sent by now: every partition flows.
    pub(crate) async fn catches_up(&self) {
        let sends = self.checker.sends();
        let all_done = || self.checker.undone(sends).is_empty();
        if !becomes_true(REST, all_done).await {
            let mut stuck: Vec<_> =
                self.checker.undone(sends).into_iter().map(|place| place.to_string()).collect();
            stuck.truncate(20);
            panic!("not within {REST:?}: {stuck:?}");
        }
    }

    /// Waits for a condition.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, holds: impl FnMut() -> bool) -> impl Future<Output = ()> {
        let checker = self.checker.clone();
        let what = what.to_owned();
        let place = std::panic::Location::caller();
        async move {
            if !becomes_true(REST, holds).await {
                panic!("{place}: {what}: not within {REST:?}; {:?}", checker.progress());
            }
        }
    }

    /// Ends the producers and waits until everything that they sent is done.
    pub(crate) async fn rests(&mut self) {
        self.rests_with(&[]).await;
    }

    async fn rests_with(&mut self, members: &[RunnerHandle]) {
        self.stop.send_replace(true);
        for producer in self.producers.drain(..) {
            producer.await.unwrap();
        }
        let checker = self.checker.clone();
        let all_done = move || {
            let progress = checker.progress();
            progress.done == progress.acknowledged
        };
        if !becomes_true(REST, all_done).await {
            let (records, seen) = (self.checker.records(), self.spans.seen());
            let verdict = Verdict::of(&records, Order::Partition, &seen.process, &self.telemetry.flush(WAIT));
            let health: Vec<_> = members.iter().map(RunnerHandle::health).collect();
            panic!(
                "not everything is done within {REST:?}: {:?}\n{verdict}\n{health:#?}",
                self.checker.progress()
            );
        }
    }

    /// Like [`rests`](Self::rests), where what is a dead letter is done as well.
    pub(crate) async fn rests_with_dead_letters(&mut self) {
        self.stop.send_replace(true);
        for producer in self.producers.drain(..) {
            producer.await.unwrap();
        }
        // Read again and again: a reader does not see a topic rest.
        let mut patience = 100;
        loop {
            self.read_dead_letters().await;
            let progress = self.checker.progress();
            if progress.done == progress.acknowledged {
                return;
            }
            patience -= 1;
            assert!(patience > 0, "not everything is done: {progress:?}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Shuts the telemetry down before the end.
    pub(crate) fn shut_down_telemetry(&self) -> throughline::Report {
        self.telemetry.shutdown(WAIT)
    }

    /// Judges a run whose spans are not all there, by its records alone.
    pub(crate) fn nothing_lost(self) {
        let verdict =
            Verdict::of(&self.checker.records(), Order::Partition, &[], &throughline::Report::default());
        let verdict = Verdict { without_span: Vec::new(), ..verdict };
        verdict.assert_passes();
    }

    /// Judges a run with a second exporter that loses spans: each for a reason, and the first one none.
    pub(crate) fn lost_by_one_exporter(self) {
        let report = self.telemetry.shutdown(WAIT);
        let verdict =
            Verdict::of(&self.checker.records(), Order::Partition, &self.spans.seen().process, &report);
        verdict.assert_passes();
        assert!(report.exporters.iter().any(|exporter| exporter.dropped.total() > 0), "{report}");
        assert!(report.exporters.iter().any(|exporter| exporter.dropped.total() == 0), "{report}");
    }

    /// Closes the members, and judges.
    pub(crate) async fn judged(mut self, order: Order, members: Vec<RunnerHandle>) -> Judged {
        self.rests_with(&members).await;
        // Before they are closed: while a classic group loses members, the embedded broker refuses commits.
        self.all_committed().await;
        let mut reports = Vec::new();
        for member in members {
            reports.push(member.close(WAIT).await.unwrap());
        }
        // Those who were cut off hear now that the group has gone on, and their commits end.
        if let Servers::Embedded { proxy, .. } = &self.servers {
            for member in 0..self.members.load(Ordering::Relaxed) {
                proxy.heal(&format!("member-{member}"));
            }
        }
        self.until("all spans have ended", || self.telemetry.flush(WAIT).unfinished == 0).await;
        let report = self.telemetry.shutdown(WAIT);
        let (records, seen) = (self.checker.records(), self.spans.seen());
        let verdict = Verdict::of(&records, order, &seen.process, &report);
        println!("{verdict}");
        verdict.assert_passes();
        for sent in &records.sends {
            let spans = seen.sends.get(&(sent.trace, TOPIC.to_owned()));
            assert_eq!(spans, Some(&1), "a send has one span, which ends once: {sent:?}");
        }
        Judged { verdict, records, seen, reports }
    }

    /// Waits until the group has committed everything that is done.
    pub(crate) async fn all_committed(&self) {
        let records = self.checker.records();
        let mut ends = vec![-1; usize::try_from(self.partitions).unwrap()];
        for sent in &records.sends {
            if let Ack::At(place) = &sent.ack {
                let end = &mut ends[usize::try_from(place.partition).unwrap()];
                *end = place.offset.saturating_add(1).max(*end);
            }
        }
        let deadline = std::time::Instant::now() + REST;
        loop {
            let committed = self.committed().await;
            if committed.iter().zip(&ends).all(|(committed, end)| committed >= end) {
                return;
            }
            assert!(std::time::Instant::now() < deadline, "committed {committed:?}, done {ends:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// The offsets that the group has in the broker, by partition.
    pub(crate) async fn committed(&self) -> Vec<i64> {
        let (config, partitions) = (config(self.bootstrap()), self.partitions);
        let asked = tokio::task::spawn_blocking(move || {
            let consumer = observing(config);
            let deadline = std::time::Instant::now() + WAIT;
            loop {
                match committed(&consumer, partitions) {
                    Ok(committed) => return committed,
                    // A fault that the row left behind.
                    Err(error) => assert!(std::time::Instant::now() < deadline, "{error}"),
                }
            }
        });
        asked.await.unwrap()
    }

    /// Sends so many bytes to partition 0, past the checker, and gives the first offset that the log still has.
    pub(crate) async fn fill(&self, bytes: usize) -> i64 {
        let producer: TracedProducer = config(self.bootstrap()).create().unwrap();
        let payload = "x".repeat(64 << 10);
        for _ in 0..bytes / payload.len() {
            let record = FutureRecord::<str, str>::to(TOPIC).partition(0).payload(&payload);
            producer.send(record, WAIT).await.unwrap();
        }
        let watermarks = move || producer.client().fetch_watermarks(TOPIC, 0, WAIT).unwrap();
        tokio::task::spawn_blocking(watermarks).await.unwrap().0
    }

    /// Reads the dead letters that came since the last time, for the checker.
    pub(crate) async fn read_dead_letters(&self) {
        let (config, partitions) = (config(self.bootstrap()), self.partitions);
        let checker = self.checker.clone();
        let mut read_to = self.dead_letters_read.lock().unwrap().clone();
        let read = tokio::task::spawn_blocking(move || {
            let consumer: BaseConsumer =
                config.clone().set("group.id", "dead").set("fetch.wait.max.ms", "10").create().unwrap();
            for partition in 0..partitions {
                let begin = read_to.get(&partition).copied().unwrap_or(0);
                let (_, end) = consumer.fetch_watermarks(DEAD, partition, WAIT).unwrap();
                let mut list = TopicPartitionList::new();
                list.add_partition_offset(DEAD, partition, Offset::Offset(begin)).unwrap();
                consumer.assign(&list).unwrap();
                let mut next = begin;
                let deadline = std::time::Instant::now() + WAIT;
                while next < end {
                    assert!(std::time::Instant::now() < deadline, "dead letters cannot be read");
                    if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
                        next = message.offset() + 1;
                        checker.dead_letter(message.payload());
                        // K-10: the trace of the sender, once.
                        let headers = Headers::copy_of(&message);
                        assert_eq!(headers.get_all("traceparent").count(), 1);
                        assert_eq!(headers.get_all("__dlq.errors.topic").count(), 1);
                    }
                }
                read_to.insert(partition, next);
            }
            read_to
        });
        let read_to = read.await.unwrap();
        *self.dead_letters_read.lock().unwrap() = read_to;
    }
}

fn observing(mut config: ClientConfig) -> BaseConsumer {
    config.set("group.id", GROUP).create().unwrap()
}

fn committed(consumer: &BaseConsumer, partitions: i32) -> KafkaResult<Vec<i64>> {
    let mut list = TopicPartitionList::new();
    list.add_partition_range(TOPIC, 0, partitions - 1);
    let committed = consumer.committed_offsets(list, WAIT)?;
    let offsets = committed.elements().into_iter().map(|element| match element.offset() {
        Offset::Offset(offset) => offset,
        _ => -1,
    });
    Ok(offsets.collect())
}

/// Writes down what the group has committed, as often as it can be asked.
async fn observe(address: String, checker: Checker, partitions: i32) {
    let mut consumer = observing(config(&address));
    let mut known = Vec::new();
    loop {
        let (back, now) = tokio::task::spawn_blocking(move || {
            let now = committed(&consumer, partitions);
            (consumer, now)
        })
        .await
        .unwrap();
        consumer = back;
        // The broker may be away.
        if let Ok(now) = now {
            for (partition, offset) in (0..).zip(&now) {
                if *offset >= 0 && known.get(usize::try_from(partition).unwrap()) != Some(offset) {
                    checker.commits(TOPIC, partition, *offset);
                }
            }
            known = now;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Sends one record under a trace of its own, and writes down what became of it.
async fn send(producer: &TracedProducer, checker: &Checker) -> Ack {
    let (number, ack) = sent(producer, checker).await;
    checker.answered(number, ack.clone());
    ack
}

/// Sends one record under a trace of its own.
pub(crate) async fn sent(producer: &TracedProducer, checker: &Checker) -> (usize, Ack) {
    static TRACES: AtomicU64 = AtomicU64::new(1);
    let id = TRACES.fetch_add(1, Ordering::Relaxed);
    let trace = TraceId::from((0xfau128 << 64) | u128::from(id));
    let parent = SpanContext::new(trace, SpanId::from(id), TraceFlags::SAMPLED, true, TraceState::NONE);
    let cx = Context::new().with_remote_span_context(parent);
    let key = format!("key-{}", id % 97);
    let number = checker.sending(Some(&key), trace);
    let value = number.to_string();
    let record = FutureRecord::to(TOPIC).key(&key).payload(&value);
    let ack = match producer.send(record, WAIT).with_context(cx).await {
        Ok(delivery) => Ack::At(Place::new(TOPIC, delivery.partition, delivery.offset)),
        Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => Ack::Refused,
        Err(_) => Ack::Unknown,
    };
    (number, ack)
}

/// Whether a condition holds before the deadline.
pub(crate) async fn becomes_true(limit: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let looks = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(limit, looks).await.is_ok()
}

/// Runs a test that is alone in its process on a runtime of two threads.
pub(crate) fn on_runtime(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.unwrap().block_on(test);
}

/// Defines rows that run in a process of their own, for so many seconds at most.
macro_rules! alone {
    ($($(#[$attribute:meta])* async fn $name:ident() within $seconds:literal $body:block)*) => {$(
        $(#[$attribute])*
        #[test]
        fn $name() {
            let path = concat!(module_path!(), "::", stringify!($name));
            $crate::alone::run(path, std::time::Duration::from_secs($seconds), || {
                $crate::load::on_runtime(async $body);
            });
        }
    )*};
}
pub(crate) use alone;
