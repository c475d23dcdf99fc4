use std::sync::mpsc;
use std::time::Instant as Deadline;

use opentelemetry::Context;

use super::super::{Delivery, DeliverySettings};
use super::*;

const SETTINGS: DeliverySettings =
    DeliverySettings { queue_bytes: 16 << 20, queue_spans: None, export_timeout: Duration::from_secs(60) };

fn start(exporters: Vec<Scripted>) -> Delivery {
    let exporters = exporters.into_iter().map(|e| Box::new(e) as Box<dyn BatchExporter>).collect();
    let (_, sink) = notices();
    Delivery::start_with(exporters, Resource::builder_empty().build(), SETTINGS, &sink)
}

fn far() -> Deadline {
    Deadline::now() + Duration::from_secs(60)
}

#[test]
fn one_hangs_one_blocks_one_panics_and_the_fourth_gets_everything() {
    let (release, blocked) = mpsc::channel::<()>();
    let (hanging, _) = Scripted::new("hangs", |_| Reply::Hangs);
    let (blocking, _) = Scripted::new("blocks", move |_| {
        let _ = blocked.recv();
        Reply::Takes
    });
    let (panicking, _) = Scripted::new("panics", |_| Reply::Panics);
    let (healthy, seen) = Scripted::new("healthy", |_| Reply::Takes);
    let delivery = start(vec![hanging, blocking.on_own_thread(), panicking, healthy]);
    for _ in 0..100 {
        delivery.offer(batch(10), 1000);
    }
    let healthy = &delivery.lanes[3];
    let epoch = healthy.ask_flush();
    assert!(healthy.wait_flushed(epoch, far()));
    assert_eq!(seen.taken(), 1000);
    for lane in &delivery.lanes {
        let (collected, accounted) = lane.law();
        assert_eq!((collected, accounted), (1000, 1000), "{}", lane.name());
    }
    let found = delivery.shutdown(Deadline::now());
    assert!(!found.deadline_met);
    drop(release);
}

#[test]
fn telemetry_is_suppressed_while_exporting() {
    let (tell, told) = mpsc::channel();
    let (on_shared_thread, _) = Scripted::new("shared", {
        let tell = tell.clone();
        move |_| {
            tell.send(Context::is_current_telemetry_suppressed()).unwrap();
            Reply::Takes
        }
    });
    let (on_own_thread, _) = Scripted::new("own", move |_| {
        tell.send(Context::is_current_telemetry_suppressed()).unwrap();
        Reply::Takes
    });
    let delivery = start(vec![on_shared_thread, on_own_thread.on_own_thread()]);
    delivery.offer(batch(1), 100);
    assert!(delivery.flush(far()).deadline_met);
    assert_eq!(told.try_iter().collect::<Vec<_>>(), [true, true]);
}

#[test]
fn batch_is_shared_and_not_copied() {
    let (first, _) = Scripted::new("first", |_| Reply::Hangs);
    let (second, _) = Scripted::new("second", |_| Reply::Hangs);
    let delivery = start(vec![first, second]);
    let spans = batch(3);
    delivery.offer(Arc::clone(&spans), 300);
    assert!(Arc::strong_count(&spans) >= 3, "each lane holds the same batch");
    let _ = delivery.shutdown(Deadline::now());
}

#[test]
fn exporters_share_the_bound_equally() {
    let (first, _) = Scripted::new("first", |_| Reply::Hangs);
    let (second, seen) = Scripted::new("second", |_| Reply::Takes);
    let settings = DeliverySettings { queue_bytes: 2_000, ..SETTINGS };
    let (_, sink) = notices();
    let delivery = Delivery::start_with(
        vec![Box::new(first), Box::new(second)],
        Resource::builder_empty().build(),
        settings,
        &sink,
    );
    for _ in 0..10 {
        delivery.offer(batch(5), 500);
        let epoch = delivery.lanes[1].ask_flush();
        assert!(delivery.lanes[1].wait_flushed(epoch, far()));
    }
    let report = delivery.report();
    assert_eq!(report[0].undelivered, 10, "half of 2,000 bytes");
    assert_eq!(report[0].dropped.queue_full, 40);
    assert_eq!((seen.taken(), report[1].exported), (50, 50));
    let _ = delivery.shutdown(Deadline::now());
}
