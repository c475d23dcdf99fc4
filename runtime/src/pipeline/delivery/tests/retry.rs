use opentelemetry::trace::TraceId;

use super::*;
use crate::pipeline::report::HealthState;

#[tokio::test(start_paused = true)]
async fn transient_error_is_tried_again_and_counted_once() {
    let lane = one_lane(script([transient(), transient(), transient()]));
    lane.offer(10);
    lane.pass(Duration::from_secs(5)).await;
    assert_eq!(lane.seen.attempts().len(), 4);
    let report = lane.lane.report();
    assert_eq!((report.exported, report.dropped.total(), report.undelivered), (10, 0, 0));
    assert!(lane.lines.lock().unwrap().is_empty(), "a retry that worked is not worth a line");
}

#[tokio::test(start_paused = true)]
async fn error_is_told_while_the_batch_is_still_being_tried() {
    let lane = one_lane(|_| transient());
    lane.offer(1);
    lane.pass(Duration::from_secs(1)).await;
    let health = lane.lane.health();
    assert_eq!(health.last_error.as_deref(), Some("503 Service Unavailable"));
    assert_eq!((health.in_flight, health.state), (1, HealthState::Degraded));
}

#[tokio::test(start_paused = true)]
async fn waits_grow_and_stay_within_their_bounds() {
    let lane = one_lane(script(std::iter::repeat_n(transient(), 6)));
    lane.offer(1);
    lane.pass(LIMIT).await;
    let attempts = lane.seen.attempts();
    let waits: Vec<_> = attempts.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    assert_eq!(waits.len(), 6);
    for (n, wait) in waits.iter().enumerate() {
        let bound = Duration::from_millis(200 << n);
        // The runtime's timer counts in milliseconds.
        assert!(*wait <= bound + Duration::from_millis(1), "wait {n} is {wait:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn pause_that_the_receiver_names_is_kept() {
    let lane = one_lane(script([throttled(Duration::from_secs(17))]));
    lane.offer(1);
    lane.pass(LIMIT).await;
    let attempts = lane.seen.attempts();
    assert_eq!(attempts.len(), 2);
    assert!(attempts[1].0 - attempts[0].0 >= Duration::from_secs(17));
}

#[tokio::test(start_paused = true)]
async fn flush_does_not_cut_short_the_receivers_pause() {
    let lane = one_lane(script([throttled(Duration::from_secs(17))]));
    lane.offer(1);
    lane.pass(Duration::from_secs(1)).await;
    lane.lane.ask_flush();
    lane.pass(Duration::from_secs(15)).await;
    assert_eq!(lane.seen.attempts().len(), 1);
    lane.pass(Duration::from_secs(2)).await;
    assert_eq!(lane.seen.taken(), 1);
}

#[tokio::test(start_paused = true)]
async fn pause_beyond_the_time_limit_holds_for_the_next_batch() {
    let lane = one_lane(script([throttled(Duration::from_secs(90))]));
    lane.offer(3);
    lane.offer(4);
    lane.pass(Duration::from_secs(89)).await;
    assert_eq!(lane.seen.attempts().len(), 1);
    assert_eq!(lane.lane.report().dropped.export_failed, 3);
    lane.pass(Duration::from_secs(2)).await;
    assert_eq!(lane.seen.taken(), 4);
}

#[tokio::test(start_paused = true)]
async fn permanent_error_is_not_tried_again() {
    let lane = one_lane(script([permanent()]));
    lane.offer(10);
    lane.offer(1);
    lane.pass(LIMIT).await;
    assert_eq!(lane.seen.attempts().len(), 2);
    let report = lane.lane.report();
    assert_eq!((report.exported, report.dropped.export_failed), (1, 10));
}

#[tokio::test(start_paused = true)]
async fn too_large_batch_is_halved_until_it_fits() {
    let lane = one_lane(|spans| if spans.len() > 3 { too_large() } else { Reply::Takes });
    lane.offer(16);
    lane.pass(LIMIT).await;
    let report = lane.lane.report();
    assert_eq!((report.exported, report.dropped.total()), (16, 0));
    let sizes: Vec<_> = lane.seen.attempts().iter().map(|(_, spans)| *spans).collect();
    assert_eq!(sizes, [16, 8, 4, 2, 2, 4, 2, 2, 8, 4, 2, 2, 4, 2, 2]);
}

#[tokio::test(start_paused = true)]
async fn single_span_that_is_too_large_is_rejected_alone() {
    let giant = TraceId::from(3_u128);
    let lane = one_lane(move |spans| {
        if spans.iter().any(|span| span.span_context.trace_id() == giant) {
            too_large()
        } else {
            Reply::Takes
        }
    });
    lane.offer(8);
    lane.pass(LIMIT).await;
    let report = lane.lane.report();
    assert_eq!((report.exported, report.dropped.rejected), (7, 1));
}

#[tokio::test(start_paused = true)]
async fn time_limit_holds_over_all_attempts() {
    let lane = one_lane(|_| transient());
    lane.offer(5);
    let begin = Instant::now();
    lane.pass(LIMIT).await;
    let attempts = lane.seen.attempts();
    assert!(attempts.len() > 5);
    assert!(attempts.iter().all(|(at, _)| *at - begin <= LIMIT));
    assert_eq!(lane.lane.report().dropped.export_failed, 5);
}

#[tokio::test(start_paused = true)]
async fn hanging_export_ends_at_the_time_limit() {
    let lane = one_lane(script([Reply::Hangs]));
    lane.offer(5);
    lane.offer(6);
    lane.pass(LIMIT + Duration::from_secs(1)).await;
    let report = lane.lane.report();
    assert_eq!((report.exported, report.dropped.export_failed), (6, 5));
}

#[tokio::test(start_paused = true)]
async fn partial_success_counts_the_rejected_spans() {
    let lane = one_lane(script([Reply::Refuses(2)]));
    lane.offer(10);
    lane.pass(LIMIT).await;
    let report = lane.lane.report();
    assert_eq!((report.exported, report.dropped.rejected), (8, 2));
    assert_eq!(lane.lines.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn full_share_costs_the_oldest_waiting_batches() {
    let share = Share { bytes: 10 * BYTES_PER_SPAN, spans: usize::MAX };
    let lane = one_lane_of(share, LIMIT, script([Reply::TakesAfter(Duration::from_secs(10))]));
    lane.offer(4);
    lane.pass(Duration::from_millis(1)).await;
    for spans in [1, 2, 3, 3] {
        lane.offer(spans);
    }
    lane.pass(LIMIT).await;
    // 4 in flight, 1 + 2 + 3 wait: the next 3 push out 1 and 2.
    let report = lane.lane.report();
    assert_eq!((report.exported, report.dropped.queue_full), (10, 3));
}

#[tokio::test(start_paused = true)]
async fn share_is_bounded_by_count_too() {
    let share = Share { bytes: usize::MAX, spans: 5 };
    let lane = one_lane_of(share, LIMIT, script([Reply::TakesAfter(Duration::from_secs(10))]));
    for _ in 0..3 {
        lane.offer(3);
    }
    lane.pass(LIMIT).await;
    let report = lane.lane.report();
    assert_eq!((report.exported, report.dropped.queue_full), (3, 6));
}
