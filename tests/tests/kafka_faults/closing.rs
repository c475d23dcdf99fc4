//! Rows L1 and L2: runners that are ended in every state, by every means. K-11: the deadline holds in each, and what was
//! unfinished is delivered to whoever comes next.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use throughline::Setup;
use throughline::kafka::{Backoff, Report, RunError, RunnerHandle, RunnerState};
use throughline_tests::kafka::proxy::Fault;
use throughline_tests::kafka::verdict::Order;

use super::load::{DEAD, How, Load, Protocol, alone, becomes_true};
use super::support::WAIT;

const PAUSE: Duration = Duration::from_millis(2);
const DEADLINE: Duration = Duration::from_secs(3);

/// What a busy machine may add to a deadline.
const GRACE: Duration = Duration::from_secs(2);

/// Closes by the deadline.
async fn closes(member: &RunnerHandle, deadline: Duration) -> Result<Report, RunError> {
    let begun = Instant::now();
    let ended = tokio::time::timeout(WAIT, member.close(deadline)).await.expect("it does not hang");
    let took = begun.elapsed();
    assert!(took < deadline + GRACE, "{took:?} for a deadline of {deadline:?}");
    ended
}

/// A flag for handlers.
#[derive(Clone, Default)]
struct Flag(Arc<AtomicBool>);

impl Flag {
    fn set(&self, value: bool) {
        self.0.store(value, Ordering::Relaxed);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

alone! {
    /// L1: idle, twice, under traffic; the next member goes on where this one ended.
    async fn l1_idle_and_under_traffic() within 100 {
        let mut load = Load::start(Protocol::CooperativeSticky, 6);
        let idle = load.member();
        load.until("the member is ready", || idle.health().ready && idle.health().partitions == 6).await;
        closes(&idle, DEADLINE).await.unwrap();
        assert_eq!(idle.health().state, RunnerState::Stopped);
        // A second time waits for the same end.
        closes(&idle, DEADLINE).await.unwrap();

        let early = load.member();
        closes(&early, DEADLINE).await.unwrap();

        load.produce(8, PAUSE);
        for _ in 0..3 {
            let busy = load.member();
            load.flows(100).await;
            let report = closes(&busy, DEADLINE).await.unwrap();
            // One that was taken at that very moment is not begun any more.
            assert!(report.handled >= 100, "{report:?}");
        }
        let last = load.member();
        load.flows(100).await;
        let judged = load.judged(Order::Partition, vec![last]).await;
        assert_eq!(judged.verdict.duplicates, 0, "all went in peace");
    }

    /// L1: handlers that run are awaited; one that does not end in time is given up, and its record delivered again.
    async fn l1_in_flight() within 100 {
        let mut load = Load::start(Protocol::CooperativeSticky, 6);
        load.produce(8, PAUSE);
        for (time, unfinished) in [(Duration::from_millis(800), false), (Duration::from_secs(600), true)] {
            let slow = Flag::default();
            let is_slow = slow.clone();
            let how = move |_, _| if is_slow.is_set() { How::TakesTime(time) } else { How::Handles };
            let member = load.member_with(how, |consumer| consumer);
            load.flows(100).await;
            slow.set(true);
            load.until("handlers are held", || member.health().oldest_in_flight_ms.is_some_and(|age| age > 100)).await;
            match closes(&member, DEADLINE).await {
                Ok(report) => assert_eq!(report.unfinished > 0, unfinished, "{report:?}"),
                Err(error) => assert!(unfinished && matches!(error, RunError::TimedOut), "{error}"),
            }
        }
        let last = load.member();
        load.flows(100).await;
        let _ = load.judged(Order::Partition, vec![last]).await;
    }

    /// L1: a record that waits for its next attempt does not hold up the end.
    async fn l1_in_a_retry_wait() within 100 {
        let mut load = Load::start(Protocol::CooperativeSticky, 6);
        load.produce(8, PAUSE);
        let patience = Backoff::default().initial(WAIT * 20).max(WAIT * 20).jitter(false);
        let fails = Flag::default();
        let failing = fails.clone();
        let how = move |_, _| if failing.is_set() { How::Fails } else { How::Handles };
        let member = load.member_with(how, |consumer| consumer.retry(patience));
        load.flows(100).await;
        fails.set(true);
        load.until("records wait", || member.health().oldest_in_flight_ms.is_some_and(|age| age > 100)).await;
        let begun = Instant::now();
        let report = closes(&member, WAIT).await.unwrap();
        assert!(report.unfinished > 0 && begun.elapsed() < WAIT / 3, "{report:?}");
        let last = load.member();
        load.flows(100).await;
        let _ = load.judged(Order::Partition, vec![last]).await;
    }

    /// L1: with the brokers away the deadline holds; what could not be committed is delivered again.
    async fn l1_brokers_away() within 100 {
        let mut load = Load::start(Protocol::CooperativeSticky, 6);
        load.produce(8, PAUSE);
        let member = load.member();
        load.flows(200).await;
        load.mock().broker_down(-1).unwrap();
        match closes(&member, DEADLINE).await {
            Ok(_) | Err(RunError::TimedOut) => {}
            Err(error) => panic!("{error}"),
        }
        load.mock().broker_up(-1).unwrap();
        let last = load.member();
        load.flows(100).await;
        let _ = load.judged(Order::Partition, vec![last]).await;
    }

    /// L1: a client that has forgotten all brokers (`b2_metadata_that_names_no_broker`) hears of them to commit and to leave.
    async fn l1_without_brokers() within 100 {
        let mut load = Load::start(Protocol::CooperativeSticky, 6);
        load.produce(8, PAUSE);
        let number = load.next_member();
        let mut config = load.config(number);
        // Nothing tells the runner.
        config.set("statistics.interval.ms", "0");
        let member = load.member_of(config, number, false, |_, _| How::Handles, |consumer| consumer);
        load.flows(200).await;
        load.proxy().set(Fault::NoBrokers("member-0"));
        load.until("the member is in no group", || member.health().partitions == 0).await;
        load.proxy().set(Fault::None);
        closes(&member, Duration::from_secs(10)).await.unwrap();
        let next = load.member();
        let _ = load.judged(Order::Partition, vec![next]).await;
    }

    /// L1: with the dead-letter topic away, a record waits for it (K-10), and the end does not.
    async fn l1_dead_letter_topic_away() within 100 {
        let mut load = Load::start(Protocol::CooperativeSticky, 6);
        load.produce(8, PAUSE);
        let fails = Flag::default();
        let failing = fails.clone();
        let how = move |_, _| if failing.is_set() { How::Fails } else { How::Handles };
        let unknown = rdkafka::types::RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
        load.mock().topic_error(DEAD, unknown).unwrap();
        let member = load.member_with(how, |consumer| consumer.retry(Backoff::never()).dead_letter(DEAD));
        load.flows(100).await;
        fails.set(true);
        load.until("records wait", || member.health().oldest_in_flight_ms.is_some_and(|age| age > 100)).await;
        let report = match closes(&member, DEADLINE).await {
            Ok(report) => report,
            Err(error) => panic!("{error}"),
        };
        assert!(report.unfinished > 0 && report.dead_lettered == 0, "{report:?}");
        let last = load.member();
        load.flows(100).await;
        let _ = load.judged(Order::Partition, vec![last]).await;
    }

    /// L1: a signal drains, a second one does not wait.
    async fn l1_two_signals() within 100 {
        let mut load = Load::start(Protocol::CooperativeSticky, 6);
        load.produce(8, PAUSE);
        let slow = Flag::default();
        let is_slow = slow.clone();
        let how = move |_, _| if is_slow.is_set() { How::TakesTime(WAIT * 20) } else { How::Handles };
        let member = load.member_with(how, |consumer| consumer.drain(WAIT * 20).stop_on_signals());
        load.flows(100).await;
        slow.set(true);
        load.until("handlers are held", || member.health().oldest_in_flight_ms.is_some_and(|age| age > 100)).await;
        interrupt();
        load.until("it drains", || member.health().state == RunnerState::Draining).await;
        interrupt();
        let ended = tokio::time::timeout(WAIT, member.wait()).await.expect("it does not wait any more");
        assert!(ended.is_err() || ended.is_ok_and(|report| report.unfinished > 0));
        let last = load.member();
        load.flows(100).await;
        let _ = load.judged(Order::Partition, vec![last]).await;
    }

    /// L1: dropped without a close, nothing is lost.
    async fn l1_dropped() within 100 {
        let mut load = Load::start(Protocol::CooperativeSticky, 6);
        load.produce(8, PAUSE);
        for _ in 0..3 {
            let member = load.member();
            load.flows(100).await;
            drop(member);
        }
        let last = load.member();
        load.flows(100).await;
        let _ = load.judged(Order::Partition, vec![last]).await;
    }

    /// L2: an exporter that is slow and then fails takes no time from the runner.
    async fn l2_exporters_that_fail() within 100 {
        let setup = Setup::new("l2").exporter(Bad { calls: Arc::default() });
        let mut load = Load::start_with(Protocol::CooperativeSticky, 6, setup);
        load.produce(8, PAUSE);
        let member = load.member();
        load.flows(2_000).await;
        load.rests().await;
        closes(&member, DEADLINE).await.unwrap();
        // What the bad exporter lost has a reason; the good one has all.
        load.lost_by_one_exporter();
    }

    /// L2: telemetry that is shut down first changes nothing for the records.
    async fn l2_telemetry_shut_down_first() within 100 {
        let mut load = Load::start(Protocol::CooperativeSticky, 6);
        load.produce(8, PAUSE);
        let member = load.member();
        load.flows(300).await;
        let _ = load.shut_down_telemetry();
        load.flows(300).await;
        load.rests().await;
        closes(&member, DEADLINE).await.unwrap();
        load.nothing_lost();
    }
}

fn interrupt() {
    let sent = std::process::Command::new("kill").args(["-TERM", &std::process::id().to_string()]).status();
    assert!(sent.unwrap().success());
}

/// Sleeps, fails, panics.
#[derive(Debug)]
struct Bad {
    calls: Arc<std::sync::atomic::AtomicUsize>,
}

impl SpanExporter for Bad {
    async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
        match self.calls.fetch_add(1, Ordering::Relaxed) % 3 {
            0 => {
                std::thread::sleep(Duration::from_millis(300));
                Ok(())
            }
            1 => Err(OTelSdkError::InternalFailure("no".to_owned())),
            _ => panic!("the exporter panics"),
        }
    }
}

/// L2: the runtime goes away under the runner, which says so and commits nothing that is unfinished.
#[test]
fn l2_runtime_shut_down_under_the_runner() {
    let path = concat!(module_path!(), "::l2_runtime_shut_down_under_the_runner");
    super::alone::run(path, Duration::from_secs(100), || {
        super::load::on_runtime(async {
            let mut load = Load::start(Protocol::CooperativeSticky, 6);
            load.produce(8, PAUSE);
            let doomed =
                tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            let member = {
                let _inside = doomed.enter();
                load.member_with(
                    |number, _| {
                        if number % 100 == 99 {
                            How::TakesTime(Duration::from_millis(200))
                        } else {
                            How::Handles
                        }
                    },
                    |consumer| consumer,
                )
            };
            load.flows(200).await;
            tokio::task::spawn_blocking(move || doomed.shutdown_timeout(Duration::from_secs(5)))
                .await
                .unwrap();
            let ended = tokio::time::timeout(WAIT, member.wait()).await.expect("it does not hang");
            assert!(matches!(ended, Err(RunError::RuntimeGone)), "{ended:?}");
            assert!(becomes_true(WAIT, || member.health().state == RunnerState::Failed).await);
            let last = load.member();
            load.flows(200).await;
            let _ = load.judged(Order::Partition, vec![last]).await;
        });
    });
}
