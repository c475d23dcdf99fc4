//! K-11: a client that closes in the midst of a rebalance asks librdkafka nothing that it may never answer.

use std::sync::{Mutex, Once, PoisonError};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use throughline::kafka::{Consumer, Record, RunnerHandle};

use super::support::{Broker, TOPIC, healthy, soon};

/// librdkafka's own lines about the groups of these tests, which no other test has.
static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Lines;

impl log::Log for Lines {
    fn enabled(&self, line: &log::Metadata<'_>) -> bool {
        line.target() == "librdkafka"
    }

    fn log(&self, line: &log::Record<'_>) {
        let text = line.args().to_string();
        if self.enabled(line.metadata()) && text.contains("Group \"farewell-") {
            LINES.lock().unwrap_or_else(PoisonError::into_inner).push(text);
        }
    }

    fn flush(&self) {}
}

fn lines_of(group: &str) -> Vec<String> {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        log::set_logger(&Lines).unwrap();
        log::set_max_level(log::LevelFilter::Debug);
    });
    let lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    lines.iter().filter(|line| line.contains(&format!("Group \"{group}\""))).cloned().collect()
}

/// A member whose client tells what happens to its group.
fn member(mut config: ClientConfig, group: &str) -> RunnerHandle {
    config.set("debug", "cgrp").set_log_level(RDKafkaLogLevel::Debug);
    Consumer::from_config(config).group(group).topics([TOPIC]).start(async |_: Record| {}).unwrap()
}

/// Waits for a line of librdkafka about this group.
async fn told(group: &str, what: &str) {
    soon(async {
        while !lines_of(group).iter().any(|line| line.contains(what)) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// Closes a member of a group that has begun to rebalance, because another one has joined, before it has heard of that.
/// Gives what it asks of its group when it has told it to end.
async fn asked_at_the_end(group: &str, strategy: &str, is_static: bool) -> Vec<String> {
    // From the beginning.
    drop(lines_of(group));
    let broker = Broker::start(4);
    let config = |name: &str| {
        let mut config = broker.classic(strategy);
        if is_static {
            config.set("group.instance.id", name);
        }
        config
    };
    let first = member(config("first"), group);
    healthy(&first, |health| health.partitions == 4).await;
    first.hold_polls(Duration::from_secs(60));
    let before = lines_of(group).len();
    let second = member(config("second"), group);
    soon(async {
        let joined = |line: &String| line.contains("changed join state wait-join ->");
        while !lines_of(group)[before..].iter().any(joined) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    // Its lines would be taken for those of the first.
    second.hold_polls(Duration::from_secs(60));
    soon(first.close(Duration::from_secs(20))).await.unwrap();
    let lines = lines_of(group);
    // Who ends at once has no time to tell of it.
    let ending = lines.iter().position(|line| line.contains("received op TERMINATE")).unwrap_or(lines.len());
    let asked = |line: &&String| line.contains("received op ASSIGN") || line.contains("received op GET_");
    let asked = lines[ending..].iter().filter(asked).cloned().collect();
    soon(second.close(Duration::from_secs(20))).await.unwrap();
    asked
}

/// Two rebalances wait in the queue, that of the group and the revocation of all, with which the client closes. The answer
/// to the first one ends the group, and a call that comes just then is never answered (librdkafka #4884).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_amid_a_cooperative_rebalance_asks_once() {
    for (group, is_static) in [("farewell-cooperative", false), ("farewell-cooperative-static", true)] {
        let asked = asked_at_the_end(group, "cooperative-sticky", is_static).await;
        assert!(asked.len() <= 1, "{group}: {asked:#?}");
    }
}

/// The revocation of the group waits in the queue. One that closes does not wait for the answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_amid_an_eager_rebalance_asks_once() {
    for (group, is_static) in [("farewell-eager", false), ("farewell-eager-static", true)] {
        let asked = asked_at_the_end(group, "range", is_static).await;
        assert!(asked.len() <= 1, "{group}: {asked:#?}");
    }
}

/// Who has no partitions leaves as well: otherwise the group waits for it as long as its session lasts, and librdkafka
/// crashes if it hears of a rebalance just then (librdkafka #5347).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn member_without_partitions_leaves_the_group() {
    const GROUP: &str = "farewell-idle";
    drop(lines_of(GROUP));
    let broker = Broker::start(1);
    let config = broker.classic("cooperative-sticky");
    let first = Consumer::from_config(config.clone()).group(GROUP).topics([TOPIC]);
    let first = first.start(async |_: Record| {}).unwrap();
    healthy(&first, |health| health.partitions == 1).await;
    let second = member(config, GROUP);
    healthy(&second, |health| health.ready).await;
    soon(second.close(Duration::from_secs(20))).await.unwrap();
    told(GROUP, "leave (in state up)").await;
    soon(first.close(Duration::from_secs(20))).await.unwrap();
}
