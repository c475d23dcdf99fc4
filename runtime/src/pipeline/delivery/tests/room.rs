//! Waiting for room: a burst is spared, a stuck exporter holds nobody up.

use std::sync::mpsc;

use super::super::place::Room;
use super::super::{Delivery, DeliverySettings};
use super::*;

/// Room for two batches of ten.
const SETTINGS: DeliverySettings =
    DeliverySettings { queue_bytes: 2_000, queue_spans: None, export_timeout: LIMIT };

fn start(exporter: Scripted) -> Delivery {
    let (_, sink) = notices();
    Delivery::start_with(vec![Box::new(exporter)], Resource::builder_empty().build(), SETTINGS, &sink)
}

#[test]
fn burst_waits_for_an_exporter_at_work_and_loses_nothing() {
    // The exporter takes a batch for each word it is given, and the test gives one for each that it waits for.
    let (go, gate) = mpsc::channel::<()>();
    let (exporter, seen) = Scripted::new("slow", move |_| {
        let _ = gate.recv();
        Reply::Takes
    });
    let delivery = start(exporter.on_own_thread());
    for _ in 0..50 {
        go.send(()).unwrap();
        assert!(delivery.wait_for_room(10, 1_000, LIMIT));
        delivery.offer(batch(10), 1_000);
    }
    let found = delivery.flush(std::time::Instant::now() + LIMIT);
    assert!(found.deadline_met);
    assert_eq!(found.exporters[0].dropped.queue_full, 0);
    assert_eq!(seen.taken(), 500);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_waited_for_where_nothing_moves() {
    let lane = one_lane_of(Share { bytes: 2_000, spans: usize::MAX }, LIMIT, |_| transient());
    assert_eq!(lane.lane.room(10, 1_000), Room::Now);
    // Three batches lost in a row open the breaker.
    for _ in 0..3 {
        lane.offer(10);
        lane.pass(LIMIT * 2).await;
    }
    lane.offer(10);
    lane.offer(10);
    assert_eq!(lane.lane.room(10, 1_000), Room::No);
}

#[tokio::test(start_paused = true)]
async fn full_lane_at_work_has_room_soon() {
    let lane = one_lane_of(Share { bytes: 2_000, spans: usize::MAX }, LIMIT, |_| Reply::Hangs);
    lane.offer(10);
    lane.pass(Duration::from_secs(1)).await;
    lane.offer(10);
    assert_eq!(lane.lane.room(10, 1_000), Room::Soon);
    assert!(!lane.lane.wait_for_room(10, 1_000, std::time::Instant::now()));
}
