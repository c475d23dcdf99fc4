use super::*;
use crate::pipeline::report::HealthState;

#[tokio::test(start_paused = true)]
async fn open_breaker_probes_every_30_seconds_and_keeps_the_batch() {
    let lane = one_lane(|_| permanent());
    for _ in 0..3 {
        lane.offer(1);
    }
    lane.pass(Duration::from_secs(1)).await;
    assert_eq!(lane.lane.health().state, HealthState::Down);
    let (answering, _) = (lane.seen.attempts().len(), ());
    assert_eq!(answering, 3);
    lane.offer(7);
    lane.pass(Duration::from_secs(28)).await;
    assert_eq!(lane.seen.attempts().len(), 3, "nothing goes out between probes");
    lane.pass(Duration::from_secs(2)).await;
    assert_eq!(lane.seen.attempts().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn probe_that_fails_for_now_loses_nothing() {
    let mut left = 3 + 4;
    let lane = one_lane(move |_| {
        if left == 0 {
            return Reply::Takes;
        }
        left -= 1;
        if left >= 4 { permanent() } else { transient() }
    });
    for _ in 0..3 {
        lane.offer(1);
    }
    lane.pass(Duration::from_secs(1)).await;
    lane.offer(7);
    lane.offer(8);
    lane.pass(Duration::from_secs(30 * 4)).await;
    assert_eq!(lane.seen.attempts().len(), 3 + 4);
    assert_eq!(lane.lane.health().waiting, 15);
    lane.pass(Duration::from_secs(30)).await;
    let report = lane.lane.report();
    assert_eq!((report.exported, report.dropped.export_failed), (15, 3));
    assert_eq!(lane.lane.health().state, HealthState::Ok);
}

#[tokio::test(start_paused = true)]
async fn an_hour_of_failure_is_three_lines_and_the_recovery_a_fourth() {
    let begin = Instant::now();
    let hour = Duration::from_secs(3600);
    let share = Share { bytes: 100 * BYTES_PER_SPAN, spans: usize::MAX };
    let lane =
        one_lane_of(share, LIMIT, move |_| if begin.elapsed() < hour { transient() } else { Reply::Takes });
    while begin.elapsed() < hour {
        lane.offer(10);
        lane.pass(Duration::from_secs(1)).await;
    }
    // It keeps trying; it loses spans; it is down.
    assert_eq!(lane.lines.lock().unwrap().len(), 3, "{:?}", lane.lines.lock().unwrap());
    lane.pass(Duration::from_secs(31)).await;
    let lines = lane.lines.lock().unwrap();
    assert_eq!(lines.len(), 4, "{lines:?}");
    assert!(matches!(&lines[3], Notice::Recovery(line) if line.contains("works again")), "{lines:?}");
}

#[tokio::test(start_paused = true)]
async fn flush_of_an_open_breaker_makes_one_attempt_and_is_answered() {
    let lane = one_lane(script([permanent(), permanent(), permanent(), transient()]));
    for _ in 0..3 {
        lane.offer(1);
    }
    lane.pass(Duration::from_secs(1)).await;
    lane.offer(9);
    let now = std::time::Instant::now();
    let first = lane.lane.ask_flush();
    lane.pass(Duration::from_millis(10)).await;
    assert!(lane.lane.wait_flushed(first, now), "known to be down: nobody waits for the deadline");
    assert_eq!(lane.lane.report().undelivered, 9);
    let second = lane.lane.ask_flush();
    lane.pass(Duration::from_millis(10)).await;
    assert!(lane.lane.wait_flushed(second, now));
    assert_eq!(lane.lane.report().undelivered, 0, "the second probe found it working");
}

#[tokio::test(start_paused = true)]
async fn panic_costs_one_batch_and_the_exporter_is_started_anew() {
    let lane = one_lane(script([Reply::Takes, Reply::Panics]));
    for _ in 0..3 {
        lane.offer(5);
    }
    lane.pass(Duration::from_secs(1)).await;
    let report = lane.lane.report();
    assert_eq!((report.exported, report.dropped.panic), (10, 5));
    assert_eq!(lane.seen.starts.load(Ordering::SeqCst), 2);
    assert_eq!(lane.lane.health().state, HealthState::Degraded);
    assert_eq!(lane.lane.health().last_error.as_deref(), Some("it panicked: scripted panic"));
}

#[tokio::test(start_paused = true)]
async fn destination_that_is_gone_turns_the_exporter_off() {
    let closed = Reply::Fails(ExportError::Closed { message: "broken pipe".into() });
    let lane = one_lane(script([Reply::Takes, closed]));
    for _ in 0..4 {
        lane.offer(2);
    }
    lane.pass(LIMIT).await;
    lane.offer(2);
    let epoch = lane.lane.ask_flush();
    lane.pass(LIMIT).await;
    let report = lane.lane.report();
    assert_eq!((report.exported, report.dropped.export_failed), (2, 8));
    assert_eq!(lane.seen.attempts().len(), 2);
    assert!(lane.lane.wait_flushed(epoch, std::time::Instant::now()));
    assert_eq!(lane.lines.lock().unwrap().len(), 1);
}
