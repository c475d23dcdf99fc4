//! Health: what it says, and when a runner is live and ready (3.5).

use std::time::Duration;

use rdkafka::ClientConfig;
use throughline::kafka::{Attempt, Backoff, Record, RunnerState};

use super::support::{Broker, Door, Log, healthy, soon};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lag_is_what_is_not_finished() {
    let broker = Broker::start(2);
    broker.produce(0..20);
    let mut config = broker.config();
    config.set("statistics.interval.ms", "20");
    let (log, door) = (Log::default(), Door::closed());
    let runner = broker.consumer().config(config).start(log.behind(&door)).unwrap();
    healthy(&runner, |health| health.lag == Some(20)).await;
    healthy(&runner, |health| health.in_flight == 2).await;
    healthy(&runner, |health| health.oldest_in_flight_ms.is_some_and(|age| age >= 50)).await;
    door.open();
    log.has_handled(0..20).await;
    healthy(&runner, |health| health.lag == Some(0)).await;
    assert_eq!(runner.health().oldest_in_flight_ms, None);
    soon(runner.close(Duration::from_secs(20))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn halted_partition_makes_the_runner_unready_and_the_others_run_on() {
    let broker = Broker::start(2);
    broker.produce(0..20);
    let log = Log::default();
    let seen = log.clone();
    let runner = broker
        .consumer()
        .retry(Backoff::never())
        .start(move |record: Record| {
            let log = seen.clone();
            async move {
                let call = log.begin(&record);
                log.end(call);
                match record.partition() {
                    Some(0) if record.offset() == Some(3) => Err("no such order"),
                    _ => Ok(()),
                }
            }
        })
        .unwrap();
    healthy(&runner, |health| !health.halted.is_empty()).await;
    log.has_ended(14).await;
    let health = runner.health();
    assert!(health.live && !health.ready);
    assert_eq!((health.halted[0].topic.as_str(), health.halted[0].partition), ("orders", 0));
    assert!(health.halted[0].reason.contains("no such order"), "{health:?}");
    let report = soon(runner.close(Duration::from_secs(20))).await.unwrap();
    assert_eq!(report.handled, 13);
    assert_eq!(broker.committed(), [3, 10]);
}

/// K-7, R-12: a partition that waits for ten seconds is paused, and goes on afterwards without a record lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partition_that_waits_long_is_paused_and_goes_on() {
    let broker = Broker::start(2);
    broker.produce(0..200);
    let log = Log::default();
    let seen = log.clone();
    let wait = Duration::from_secs(12);
    let runner = broker
        .consumer()
        .retry(Backoff::new().attempts(2).initial(wait).max(wait).jitter(false))
        .start(move |record: Record, attempt: Attempt| {
            let log = seen.clone();
            async move {
                if record.partition() == Some(0) && record.offset() == Some(5) && !attempt.is_last() {
                    return Err("not yet");
                }
                let call = log.begin(&record);
                log.end(call);
                Ok(())
            }
        })
        .unwrap();
    healthy(&runner, |health| health.paused == 1).await;
    // The other partition does not care.
    assert_eq!(log.by(|call| call.place.0)[&1].len(), 100);
    broker.produce(200..300);
    log.has_handled(0..300).await;
    healthy(&runner, |health| health.paused == 0).await;
    let report = soon(runner.close(Duration::from_secs(20))).await.unwrap();
    assert_eq!((report.handled, report.retries), (300, 1));
    assert_eq!(log.calls().len(), 300);
    assert_eq!(broker.committed(), [150, 150]);
}

/// An assignment of nothing counts as joined.
async fn is_ready_without_partitions(broker: &Broker, mut config: ClientConfig) {
    config.set("statistics.interval.ms", "20");
    let start = || broker.consumer().config(config.clone()).start(async |_: Record| {}).unwrap();
    let first = start();
    healthy(&first, |health| health.partitions == 1).await;
    let second = start();
    healthy(&second, |health| health.ready).await;
    healthy(&first, |health| health.ready).await;
    assert_eq!(first.health().partitions + second.health().partitions, 1);
    for runner in [&first, &second] {
        soon(runner.close(Duration::from_secs(20))).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn member_of_a_classic_group_is_ready_without_partitions() {
    let broker = Broker::start(1);
    is_ready_without_partitions(&broker, broker.classic("cooperative-sticky")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn member_of_a_kip_848_group_is_ready_without_partitions() {
    let broker = Broker::start(1);
    is_ready_without_partitions(&broker, broker.config()).await;
}

#[tokio::test]
async fn health_is_a_value_for_a_probe() {
    let broker = Broker::start(1);
    let runner = broker.consumer().start(async |_: Record| {}).unwrap();
    healthy(&runner, |health| health.state == RunnerState::Running).await;
    let json = serde_json::to_value(runner.health()).unwrap();
    assert_eq!(json["state"], "running");
    assert_eq!(json["live"], true);
    assert_eq!(json["ready"], true);
    assert_eq!(json["halted"], serde_json::json!([]));
    for field in ["partitions", "paused", "in_flight", "last_poll_age_ms"] {
        assert!(json[field].is_u64(), "{field} in {json}");
    }
    soon(runner.close(Duration::from_secs(20))).await.unwrap();
}
