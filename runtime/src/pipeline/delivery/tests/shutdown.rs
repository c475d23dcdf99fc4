use std::time::Instant as Deadline;

use super::super::{Delivery, DeliverySettings};
use super::*;

fn start(exporter: Scripted) -> Delivery {
    let settings = DeliverySettings {
        queue_bytes: 16 << 20,
        queue_spans: None,
        export_timeout: Duration::from_secs(60),
    };
    let (_, sink) = notices();
    Delivery::start_with(vec![Box::new(exporter)], Resource::builder_empty().build(), settings, &sink)
}

fn far() -> Deadline {
    Deadline::now() + Duration::from_secs(60)
}

fn soon() -> Deadline {
    Deadline::now() + Duration::from_millis(20)
}

#[test]
fn shutdown_delivers_what_waits_and_ends_the_exporter_once() {
    let (exporter, seen) = Scripted::new("healthy", |_| Reply::Takes);
    let delivery = start(exporter);
    for _ in 0..10 {
        delivery.offer(batch(7), 700);
    }
    let found = delivery.shutdown(far());
    assert!(found.deadline_met);
    assert_eq!((found.exporters[0].exported, found.exporters[0].undelivered), (70, 0));
    let again = delivery.shutdown(far());
    assert!(again.deadline_met);
    assert_eq!(again.exporters, found.exporters);
    assert_eq!(seen.shutdowns.load(Ordering::SeqCst), 1);
    assert_eq!(seen.flushes.load(Ordering::SeqCst), 1);
}

#[test]
fn spans_after_the_shutdown_are_counted() {
    let (exporter, _) = Scripted::new("healthy", |_| Reply::Takes);
    let delivery = start(exporter);
    assert!(delivery.shutdown(far()).deadline_met);
    delivery.offer(batch(3), 300);
    assert_eq!(delivery.report()[0].dropped.already_shutdown, 3);
}

#[test]
fn hanging_exporter_keeps_neither_flush_nor_shutdown_beyond_the_deadline() {
    let (exporter, _) = Scripted::new("hangs", |_| Reply::Hangs);
    let delivery = start(exporter);
    delivery.offer(batch(3), 300);
    delivery.offer(batch(4), 400);
    let flushed = delivery.flush(soon());
    assert!(!flushed.deadline_met);
    assert_eq!(flushed.exporters[0].undelivered, 7);
    let ended = delivery.shutdown(soon());
    assert!(!ended.deadline_met);
    assert_eq!(ended.exporters[0].undelivered, 7);
    let again = delivery.shutdown(far());
    assert_eq!(again.exporters[0].undelivered, 7, "what was left stays told");
}

#[test]
fn exporter_that_blocks_its_thread_is_left_behind_at_the_deadline() {
    let (release, blocked) = std::sync::mpsc::channel::<()>();
    let (exporter, _) = Scripted::new("blocks", move |_| {
        let _ = blocked.recv();
        Reply::Takes
    });
    let delivery = start(exporter.on_own_thread());
    delivery.offer(batch(3), 300);
    let ended = delivery.shutdown(soon());
    assert!(!ended.deadline_met);
    assert_eq!(ended.exporters[0].undelivered, 3);
    drop(release);
}

#[test]
fn flush_covers_what_was_offered_before_it() {
    let (exporter, seen) = Scripted::new("healthy", |_| Reply::Takes);
    let delivery = start(exporter);
    for round in 1..=50 {
        delivery.offer(batch(2), 200);
        assert!(delivery.flush(far()).deadline_met);
        assert_eq!(seen.taken(), 2 * round);
    }
}

#[test]
fn flush_after_a_panic_returns_and_the_next_batch_arrives() {
    let (exporter, seen) = Scripted::new("panics", script([Reply::Panics]));
    let delivery = start(exporter);
    delivery.offer(batch(2), 200);
    assert!(delivery.flush(far()).deadline_met);
    delivery.offer(batch(5), 500);
    assert!(delivery.flush(far()).deadline_met);
    assert_eq!(seen.taken(), 5);
    assert_eq!(delivery.report()[0].dropped.panic, 2);
}

#[tokio::test(start_paused = true)]
async fn flush_does_not_sit_out_a_back_off() {
    // Bounds 200 ms, 400 ms, ..: by the sixth failure a wait may take 6 s.
    let lane = one_lane(script(std::iter::repeat_n(transient(), 8)));
    lane.offer(1);
    lane.pass(Duration::from_millis(1)).await;
    for _ in 0..8 {
        lane.lane.ask_flush();
        lane.pass(Duration::from_millis(1)).await;
    }
    assert_eq!(lane.seen.taken(), 1);
}
