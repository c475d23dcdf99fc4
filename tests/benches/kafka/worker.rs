//! One candidate in a process of its own: reads a line per round, answers with what it took.

use std::io::{BufRead, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use rustix::time::{ClockId, clock_gettime};
use throughline::kafka::{Consumer, Record};
use tokio::sync::Notify;

use crate::broker::{MESSAGES, PARTITIONS};
use crate::candidates::{self, Row, Tracing, What};
use crate::{count, produce};

/// What a round took.
pub(crate) struct Taken {
    pub(crate) wall: Duration,
    /// Processor time of the thread that runs the loop.
    pub(crate) thread_ns: u64,
}

pub(crate) fn cpu_ns(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}

/// Answers each line with `messages wall_ns thread_ns process_ns exported`.
pub(crate) fn serve(name: &str, servers: &str) -> ExitCode {
    let row = Row::named(name);
    candidates::set_up(row);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut work = Work::new(row, servers, &runtime);
    for (round, line) in std::io::stdin().lock().lines().enumerate() {
        if line.is_err() {
            break;
        }
        let (process, exported) = (cpu_ns(ClockId::ProcessCPUTime), candidates::exported());
        let taken = runtime.block_on(work.round(round));
        let exported = candidates::exported() - exported;
        let process = cpu_ns(ClockId::ProcessCPUTime) - process;
        let messages = row.messages();
        println!("{messages} {} {} {process} {exported}", taken.wall.as_nanos(), taken.thread_ns);
        let _ = std::io::stdout().flush();
    }
    if count::malformed() > 0 {
        eprintln!("{name}: {} malformed spans", count::malformed());
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

enum Work {
    Consume(StreamConsumer, &'static Row),
    Runner(ClientConfig, &'static Row),
    Produce(produce::Sender),
}

impl Work {
    fn new(row: &'static Row, servers: &str, runtime: &tokio::runtime::Runtime) -> Self {
        let _entered = runtime.enter();
        match row.what {
            What::Produce => Self::Produce(produce::Sender::new(row, servers)),
            What::Runner => Self::Runner(consumer_config(servers), row),
            What::Consume => {
                let mut config = consumer_config(servers);
                config.set("group.id", "bench").set("enable.auto.commit", "false");
                Self::Consume(config.create().expect("a consumer of the embedded cluster"), row)
            }
        }
    }

    async fn round(&mut self, round: usize) -> Taken {
        match self {
            Self::Produce(sender) => sender.round().await,
            Self::Runner(config, row) => run(config.clone(), row, round).await,
            Self::Consume(consumer, row) => consume(consumer, row).await,
        }
    }
}

fn consumer_config(servers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", servers)
        // kafka.md R-18: the embedded cluster waits the full time.
        .set("fetch.wait.max.ms", "10")
        // kafka.md R-12: by default a consumer whose queue was full once waits up to a second for the next message.
        .set("fetch.queue.backoff.ms", "10")
        .set("auto.offset.reset", "earliest");
    config
}

/// Reads the topic once more. The clock starts with the first message: finding partitions is not the loop's time.
async fn consume(consumer: &StreamConsumer, row: &Row) -> Taken {
    let mut all = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        all.add_partition_offset(row.topic(), partition, Offset::Beginning).expect("an offset");
    }
    consumer.assign(&all).expect("partitions of the topic");
    let receive = async || consumer.recv().await.expect("a record of the embedded cluster");
    let is_bare = row.tracing == Tracing::Bare;
    let (messages, work) = (row.messages(), row.work);
    let first = receive().await;
    let (start, thread) = (Instant::now(), cpu_ns(ClockId::ThreadCPUTime));
    if is_bare {
        candidates::bare(&first, work).await;
        for _ in 1..messages {
            let message = receive().await;
            candidates::bare(&message, work).await;
        }
    } else {
        candidates::traced(&first, work).await;
        for _ in 1..messages {
            let message = receive().await;
            candidates::traced(&message, work).await;
        }
    }
    let taken = Taken { wall: start.elapsed(), thread_ns: cpu_ns(ClockId::ThreadCPUTime) - thread };
    consumer.unassign().expect("the consumer's own partitions");
    taken
}

/// The runner as a new member of a new group, from the first record that it handles to the last.
async fn run(config: ClientConfig, row: &Row, round: usize) -> Taken {
    let handled = Arc::new((AtomicU64::new(0), Notify::new()));
    let counted = Arc::clone(&handled);
    let handler = move |record: Record| {
        let counted = Arc::clone(&counted);
        async move {
            candidates::body(record.value().as_deref(), candidates::Work::Nothing);
            let before = counted.0.fetch_add(1, Ordering::Relaxed);
            if before == 0 || before + 1 == MESSAGES {
                counted.1.notify_one();
            }
        }
    };
    let group = format!("{}-{}-{round}", row.name, std::process::id());
    let consumer = Consumer::from_config(config).group(group).topics([row.topic()]);
    let runner = consumer.start(handler).expect("a runner on the embedded cluster");
    handled.1.notified().await;
    let (start, thread) = (Instant::now(), cpu_ns(ClockId::ThreadCPUTime));
    while handled.0.load(Ordering::Relaxed) < MESSAGES {
        handled.1.notified().await;
    }
    let taken = Taken { wall: start.elapsed(), thread_ns: cpu_ns(ClockId::ThreadCPUTime) - thread };
    runner.close(Duration::from_secs(20)).await.expect("a runner that ends by itself");
    taken
}
