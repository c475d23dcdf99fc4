//! K-5, K-6, K-12 and row G1: members come and go.

use std::time::Duration;

use rdkafka::ClientConfig;
use throughline::kafka::{Consumer, Record, RunnerHandle, tracked};

use super::support::{Broker, Door, GROUP, Log, TOPIC, healthy, soon};

fn member(config: ClientConfig, log: &Log) -> RunnerHandle {
    let log = log.clone();
    Consumer::from_config(config)
        .group(GROUP)
        .topics([TOPIC])
        .commit(tracked(Duration::from_millis(20), 50))
        .start(move |record: Record| {
            let log = log.clone();
            async move {
                let call = log.begin(&record);
                tokio::task::yield_now().await;
                log.end(call);
            }
        })
        .unwrap()
}

/// Members join, leave and are dropped while records come in: each is handled at least once, and all are committed.
async fn nothing_is_lost(broker: Broker, config: impl Fn(&Broker) -> ClientConfig) {
    const RECORDS: u64 = 6_000;
    let log = Log::default();
    let mut members = vec![member(config(&broker), &log)];
    for step in 0..12 {
        broker.produce(step * RECORDS / 12..(step + 1) * RECORDS / 12);
        // Some of them handled, so that the change comes in the midst.
        log.has_ended(usize::try_from(step * RECORDS / 16).unwrap()).await;
        match step % 4 {
            0 | 1 => members.push(member(config(&broker), &log)),
            2 => drop(soon(members.remove(0).close(Duration::from_secs(20))).await.unwrap()),
            _ => drop(members.remove(0)),
        }
    }
    log.has_handled(0..RECORDS).await;
    // The cluster refuses commits while a classic group joins: those records are handled twice, and committed then.
    let each = i64::try_from(RECORDS).unwrap() / i64::from(broker.partitions);
    broker.has_committed(each).await;
    for member in &members {
        soon(member.close(Duration::from_secs(20))).await.unwrap();
    }
    // K-3 across members cannot hold for records that are delivered again; the first deliveries keep their order.
    for calls in log.by(|call| call.place.0).values() {
        let mut highest = -1;
        for call in calls {
            assert!(call.place.1 <= highest + 1, "offset {} was passed over: {call:?}", highest + 1);
            highest = highest.max(call.place.1);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_with_cooperative_sticky() {
    nothing_is_lost(Broker::start(6), |broker| broker.classic("cooperative-sticky")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_with_range() {
    nothing_is_lost(Broker::start(6), |broker| broker.classic("range")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_with_roundrobin() {
    nothing_is_lost(Broker::start(6), |broker| broker.classic("roundrobin")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_with_kip_848() {
    nothing_is_lost(Broker::start(6), Broker::config).await;
}

/// A member whose handlers wait at the door, and one that joins and takes partitions away from it.
async fn revoked_while_it_runs(
    drain: Duration,
    open: impl AsyncFn(&RunnerHandle, &Door, &Log),
) -> (throughline::kafka::Report, Log, Vec<i64>) {
    let broker = Broker::start(2);
    let (log, door) = (Log::default(), Door::closed());
    let first = Consumer::from_config(broker.config())
        .group(GROUP)
        .topics([TOPIC])
        .drain(drain)
        .start(log.behind(&door))
        .unwrap();
    healthy(&first, |health| health.partitions == 2).await;
    broker.produce(0..2);
    log.has_begun(2).await;
    let others = Log::default();
    let second = member(broker.config(), &others);
    open(&first, &door, &others).await;
    healthy(&second, |health| health.partitions == 1).await;
    door.open();
    log.has_ended(2).await;
    healthy(&second, |health| health.in_flight == 0).await;
    soon(second.close(Duration::from_secs(20))).await.unwrap();
    let report = soon(first.close(Duration::from_secs(20))).await.unwrap();
    (report, others, broker.committed())
}

/// K-6: the member that joins waits, and finds the record committed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revoke_awaits_the_handlers_and_commits() {
    let (report, others, committed) =
        revoked_while_it_runs(Duration::from_secs(30), async |first, door, _| {
            // The poll thread waits in the rebalance.
            healthy(first, |health| health.last_poll_age_ms >= 300).await;
            door.open();
        })
        .await;
    assert_eq!((report.handled, report.late_results), (2, 0));
    assert_eq!(others.calls().len(), 0);
    // The embedded cluster refuses commits while a group joins, also the last one of a close: the report says so.
    assert!(committed == [1, 1] || report.failed_commits > 0, "{committed:?} {report:?}");
}

/// K-5: after `drain` the partition goes, and what its handler says later does not count.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handler_that_outlasts_the_drain_is_late() {
    let (report, others, committed) =
        revoked_while_it_runs(Duration::from_millis(100), async |_, _, others| {
            others.has_ended(1).await;
        })
        .await;
    assert_eq!((report.handled, report.late_results), (1, 1));
    assert_eq!(others.calls().len(), 1);
    assert_eq!(committed, [1, 1]);
}

/// K-12, row G5: all generations end, it is counted, the member joins again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exceeded_poll_interval_ends_the_generations_and_rejoins() {
    let broker = Broker::start(2);
    broker.produce(0..10);
    let log = Log::default();
    // Classic: there the client knows the timeout of its session, which the interval must not be below.
    let mut config = broker.classic("cooperative-sticky");
    config.set("max.poll.interval.ms", "1500");
    let runner = member(config, &log);
    log.has_handled(0..10).await;
    runner.hold_polls(Duration::from_secs(4));
    healthy(&runner, |health| health.last_poll_age_ms >= 1_000).await;
    assert!(!runner.health().live);
    healthy(&runner, |health| {
        health.last_error.as_ref().is_some_and(|error| error.contains("poll interval"))
    })
    .await;
    broker.produce(10..20);
    log.has_handled(0..20).await;
    healthy(&runner, |health| health.ready && health.live).await;
    let report = soon(runner.close(Duration::from_secs(20))).await.unwrap();
    // Assigned, exceeded, lost, assigned again, given up at the end.
    assert!(report.rebalances >= 5, "{report:?}");
    assert_eq!(broker.committed(), [10, 10]);
}

/// A partition that a member keeps goes on while another is taken away from it (cooperative).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kept_partition_runs_on_through_a_rebalance() {
    let broker = Broker::start(2);
    let log = Log::default();
    let first = member(broker.config(), &log);
    healthy(&first, |health| health.partitions == 2).await;
    broker.produce(0..200);
    log.has_handled(0..200).await;
    let second = member(broker.config(), &log);
    healthy(&second, |health| health.partitions == 1).await;
    broker.produce(200..400);
    log.has_handled(0..400).await;
    for runner in [&first, &second] {
        soon(runner.close(Duration::from_secs(20))).await.unwrap();
    }
    assert_eq!(broker.committed(), [200, 200]);
    // Nothing was delivered twice: revoke commits first.
    assert_eq!(log.calls().len(), 400);
}
