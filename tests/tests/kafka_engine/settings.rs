//! What is refused before anything starts.

use std::time::Duration;

use rdkafka::ClientConfig;
use throughline::kafka::{Consumer, Record, RunError, by_key, per_partition, tracked};

async fn handle(_record: Record) {}

fn config() -> ClientConfig {
    let mut config = ClientConfig::new();
    // Nobody listens there, and nobody is asked.
    config.set("bootstrap.servers", "127.0.0.1:1");
    config
}

fn consumer() -> Consumer {
    Consumer::from_config(config()).group("billing").topics(["orders"])
}

fn refusal(consumer: Consumer) -> String {
    match consumer.start(handle) {
        Err(error @ RunError::Setting { .. }) => error.to_string(),
        Err(error) => panic!("{error:?}"),
        Ok(_) => panic!("it started"),
    }
}

/// kafka.md K-2, R-9, R-10.
#[tokio::test]
async fn automatic_commits_are_refused() {
    for name in ["enable.auto.commit", "enable.auto.offset.store"] {
        let mut config = config();
        config.set(name, "true");
        let refusal = refusal(Consumer::from_config(config).group("billing").topics(["orders"]));
        assert!(refusal.starts_with(&format!("`{name}` is `true`: it commits records")), "{refusal}");
        assert!(refusal.contains("expected `false`"), "{refusal}");
    }
}

#[tokio::test]
async fn runner_needs_a_group_and_topics() {
    assert!(refusal(Consumer::from_config(config()).topics(["orders"])).starts_with("`group` is ``: "));
    assert!(refusal(Consumer::from_config(config()).group("billing")).starts_with("`topics` is ``: "));
    assert!(refusal(consumer().topics(["a\0b"])).starts_with("`topics` is `a\0b`: "));
    let mut other = config();
    other.set("group.id", "other");
    let refusal = refusal(Consumer::from_config(other).group("billing").topics(["orders"]));
    assert!(refusal.starts_with("`group.id` is `other`: the runner's group is `billing`"), "{refusal}");
}

#[tokio::test]
async fn bounds_of_nothing_are_refused() {
    for (name, consumer) in [
        ("concurrency", consumer().concurrency(per_partition(0))),
        ("concurrency", consumer().concurrency(by_key(0))),
        ("max_in_flight", consumer().max_in_flight(0)),
        ("prefetch", consumer().prefetch(0)),
        ("batch", consumer().batch(0, Duration::from_millis(1))),
        ("commit", consumer().commit(tracked(Duration::from_secs(1), 0))),
    ] {
        let refusal = refusal(consumer);
        assert!(refusal.starts_with(&format!("`{name}` is `0`: ")), "{refusal}");
    }
}

#[test]
fn runner_needs_a_runtime() {
    assert!(matches!(consumer().start(handle), Err(RunError::Start(_))));
}

#[tokio::test]
async fn unknown_setting_of_the_client_is_its_error() {
    let mut config = config();
    config.set("no.such.setting", "1");
    let started = Consumer::from_config(config).group("billing").topics(["orders"]).start(handle);
    assert!(matches!(started, Err(RunError::Client(_))), "{started:?}");
}
