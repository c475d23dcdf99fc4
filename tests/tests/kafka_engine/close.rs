//! K-11, row L1: how a runner ends.

use std::time::{Duration, Instant};

use throughline::kafka::{Record, RunError, RunnerHandle, RunnerState};

use super::support::{Broker, Door, Log, healthy, soon};

/// A runner whose handlers wait at the door.
fn waiting(broker: &Broker, log: &Log, door: &Door) -> RunnerHandle {
    broker.consumer().start(log.behind(door)).unwrap()
}

fn opened() -> Door {
    let door = Door::closed();
    door.open();
    door
}

#[tokio::test]
async fn idle_runner_closes() {
    let broker = Broker::start(2);
    let runner = waiting(&broker, &Log::default(), &opened());
    healthy(&runner, |health| health.ready).await;
    let report = soon(runner.close(Duration::from_secs(20))).await.unwrap();
    assert_eq!((report.handled, report.unfinished), (0, 0));
    let health = runner.health();
    assert_eq!((health.state, health.live, health.ready), (RunnerState::Stopped, false, false));
}

#[tokio::test]
async fn runner_that_has_not_joined_closes() {
    let broker = Broker::start(1);
    broker.cluster.mock().broker_down(-1).unwrap();
    let runner = waiting(&broker, &Log::default(), &opened());
    healthy(&runner, |health| health.state == RunnerState::Joining).await;
    assert!(!runner.health().ready);
    soon(runner.close(Duration::from_secs(20))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn close_awaits_the_handlers_and_commits_what_they_did() {
    let broker = Broker::start(1);
    broker.produce(0..5);
    let (log, door) = (Log::default(), Door::closed());
    let runner = waiting(&broker, &log, &door);
    log.has_begun(1).await;
    let closing = runner.close(Duration::from_secs(30));
    let opening = async {
        healthy(&runner, |health| health.state == RunnerState::Draining).await;
        door.open();
    };
    let (report, ()) = soon(async { tokio::join!(closing, opening) }).await;
    let report = report.unwrap();
    // The first was awaited, the others never began.
    assert_eq!((report.handled, report.unfinished, log.calls().len()), (1, 0, 1));
    assert_eq!(broker.committed(), [1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handler_that_does_not_end_is_left_at_the_deadline() {
    let broker = Broker::start(1);
    broker.produce(0..5);
    let (log, door) = (Log::default(), Door::closed());
    let runner = waiting(&broker, &log, &door);
    log.has_begun(1).await;
    let report = soon(runner.close(Duration::from_secs(4))).await.unwrap();
    assert_eq!((report.handled, report.unfinished), (0, 1));
    assert_eq!(broker.committed(), [0]);
    // It left the group, and the next member gets the same record.
    let again = Log::default();
    let next = waiting(&broker, &again, &opened());
    again.has_handled(0..5).await;
    soon(next.close(Duration::from_secs(20))).await.unwrap();
    assert_eq!(broker.committed(), [5]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drain_bounds_the_wait_for_handlers() {
    let broker = Broker::start(1);
    broker.produce(0..1);
    let (log, door) = (Log::default(), Door::closed());
    let (seen, waits) = (log.clone(), door.clone());
    let runner = broker
        .consumer()
        .drain(Duration::from_millis(100))
        .start(move |record: Record| {
            let (log, door) = (seen.clone(), waits.clone());
            async move {
                log.begin(&record);
                door.pass().await;
            }
        })
        .unwrap();
    log.has_begun(1).await;
    let report = soon(runner.close(Duration::MAX)).await.unwrap();
    assert_eq!((report.handled, report.unfinished), (0, 1));
}

#[tokio::test]
async fn closing_twice_gives_the_same_report() {
    let broker = Broker::start(1);
    broker.produce(0..3);
    let log = Log::default();
    let runner = waiting(&broker, &log, &opened());
    log.has_handled(0..3).await;
    let (first, second) = soon(async {
        tokio::join!(runner.close(Duration::from_secs(20)), runner.close(Duration::from_secs(30)))
    })
    .await;
    assert_eq!(first.unwrap(), second.unwrap());
    assert_eq!(soon(runner.close(Duration::ZERO)).await.unwrap().handled, 3);
    assert_eq!(soon(runner.wait()).await.unwrap().handled, 3);
}

/// The second one brings the end nearer, as a second signal does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn second_close_with_a_nearer_deadline_cuts_the_first() {
    let broker = Broker::start(1);
    broker.produce(0..1);
    let (log, door) = (Log::default(), Door::closed());
    let runner = waiting(&broker, &log, &door);
    log.has_begun(1).await;
    let cut = async {
        healthy(&runner, |health| health.state == RunnerState::Draining).await;
        runner.close(Duration::from_secs(5)).await
    };
    let (first, second) = soon(async { tokio::join!(runner.close(Duration::from_secs(3_600)), cut) }).await;
    assert_eq!(first.unwrap().unfinished, 1);
    assert_eq!(second.unwrap().unfinished, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_runner_leaves_the_group() {
    let broker = Broker::start(1);
    broker.produce(0..3);
    let (log, door) = (Log::default(), Door::closed());
    let runner = waiting(&broker, &log, &door);
    log.has_begun(1).await;
    drop(runner);
    let again = Log::default();
    let next = waiting(&broker, &again, &opened());
    again.has_handled(0..3).await;
    soon(next.close(Duration::from_secs(20))).await.unwrap();
    // The handler was dropped where it waited.
    assert_eq!(log.calls()[0].ended, None);
}

/// Whatever librdkafka does, whoever waits hears by the deadline.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deadline_holds_with_the_brokers_away() {
    let broker = Broker::start(2);
    broker.produce(0..10);
    let log = Log::default();
    let runner = waiting(&broker, &log, &opened());
    log.has_handled(0..10).await;
    broker.cluster.mock().broker_down(-1).unwrap();
    let begun = Instant::now();
    match soon(runner.close(Duration::from_secs(3))).await {
        Ok(report) => assert_eq!(report.handled, 10),
        Err(RunError::TimedOut) => assert!(begun.elapsed() >= Duration::from_secs(3)),
        Err(error) => panic!("{error:?}"),
    }
    // Lest the client that is left behind keeps on trying.
    broker.cluster.mock().broker_up(-1).unwrap();
}

#[tokio::test]
async fn stop_signal_ends_the_run() {
    let broker = Broker::start(1);
    broker.produce(0..3);
    let (log, door) = (Log::default(), Door::closed());
    let (seen, signal) = (log.clone(), door.clone());
    let run = broker.consumer().stop_when(async move { signal.pass().await }).run(move |record: Record| {
        let log = seen.clone();
        async move {
            let call = log.begin(&record);
            log.end(call);
        }
    });
    let stop = async {
        log.has_handled(0..3).await;
        door.open();
    };
    let (report, ()) = soon(async { tokio::join!(run, stop) }).await;
    assert_eq!(report.unwrap().handled, 3);
    assert_eq!(broker.committed(), [3]);
}

/// Row L1, two signals. The signals are those of this whole process, whose other tests do not listen.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn first_signal_drains_and_the_second_aborts() {
    let broker = Broker::start(1);
    broker.produce(0..3);
    let (log, door) = (Log::default(), Door::closed());
    let runner = broker.consumer().stop_on_signals().start(log.behind(&door)).unwrap();
    log.has_begun(1).await;
    let terminate = || {
        let sent =
            std::process::Command::new("kill").args(["-TERM", &std::process::id().to_string()]).status();
        assert!(sent.unwrap().success());
    };
    terminate();
    healthy(&runner, |health| health.state == RunnerState::Draining).await;
    assert!(log.calls()[0].ended.is_none());
    terminate();
    // The deadline was that very moment, so it may be over before the client is.
    match soon(runner.wait()).await {
        Ok(report) => assert_eq!((report.handled, report.unfinished), (0, 1)),
        Err(error) => assert!(matches!(error, RunError::TimedOut), "{error:?}"),
    }
    healthy(&runner, |health| health.state == RunnerState::Stopped).await;
    assert_eq!(broker.committed(), [0]);
}

/// Row L2, K-13: what is unfinished is not committed.
#[test]
fn runtime_that_is_shut_down_ends_the_run() {
    let broker = Broker::start(1);
    broker.produce(0..3);
    let (log, door) = (Log::default(), Door::closed());
    let doomed = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let runner = doomed.block_on(async {
        let runner = waiting(&broker, &log, &door);
        log.has_begun(1).await;
        runner
    });
    doomed.shutdown_background();
    let other = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ended = other.block_on(soon(runner.wait()));
    assert!(matches!(ended, Err(RunError::RuntimeGone)), "{ended:?}");
    assert_eq!(runner.health().state, RunnerState::Failed);
    assert_eq!(broker.committed(), [0]);
}

/// The same without any partition: only then does nobody but the runner itself notice.
#[test]
fn runtime_that_is_shut_down_under_an_idle_runner_ends_it() {
    let broker = Broker::start(1);
    broker.cluster.mock().broker_down(-1).unwrap();
    let doomed = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let runner = doomed.block_on(async { waiting(&broker, &Log::default(), &opened()) });
    drop(doomed);
    let other = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ended = other.block_on(soon(runner.wait()));
    assert!(matches!(ended, Err(RunError::RuntimeGone)), "{ended:?}");
}
