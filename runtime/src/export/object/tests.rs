use std::sync::Mutex;
use std::time::{Duration, Instant};

use opentelemetry_sdk::trace::SpanData;

use super::*;
use crate::pipeline::delivery::{Delivery, DeliverySettings};
use crate::pipeline::spans::Spans;
use crate::testing::samples;

/// Calls a closure for each batch.
struct Calls<F>(F);

impl<F> std::fmt::Debug for Calls<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Calls")
    }
}

impl<F, R> SpanExporter for Calls<F>
where
    F: Fn(Vec<SpanData>) -> R + Send + Sync,
    R: Future<Output = OTelSdkResult> + Send,
{
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        (self.0)(batch).await
    }
}

fn deliver<F, R>(limit: Duration, export: F) -> Delivery
where
    F: Fn(Vec<SpanData>) -> R + Send + Sync + 'static,
    R: Future<Output = OTelSdkResult> + Send + 'static,
{
    let settings = DeliverySettings { queue_bytes: 1 << 20, queue_spans: None, export_timeout: limit };
    Delivery::start(vec![object("mine", Calls(export))], Resource::builder_empty().build(), settings)
}

fn offer(delivery: &Delivery) {
    delivery.offer(Arc::new(vec![samples::span(1, 1, 0, "a"), samples::span(1, 2, 1, "b")]), 200);
}

fn far() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn exporter_that_needs_a_tokio_runtime_finds_one() {
    let delivery = deliver(LIMIT, |_| async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        tokio::spawn(async {}).await.map_err(|e| OTelSdkError::InternalFailure(e.to_string()))
    });
    offer(&delivery);
    let ended = delivery.shutdown(far());
    assert_eq!((ended.exporters[0].exported, ended.exporters[0].undelivered), (2, 0));
}

#[test]
fn exporter_that_enters_a_runtime_of_its_own_may_do_so() {
    let delivery = deliver(LIMIT, |_| async {
        let own = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        own.block_on(tokio::time::sleep(Duration::from_millis(1)));
        Ok(())
    });
    offer(&delivery);
    assert_eq!(delivery.shutdown(far()).exporters[0].exported, 2);
}

#[test]
fn telemetry_is_suppressed_in_the_call() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let delivery = deliver(LIMIT, {
        let seen = Arc::clone(&seen);
        move |_| {
            seen.lock().unwrap().push(Context::is_current_telemetry_suppressed());
            async { Ok(()) }
        }
    });
    offer(&delivery);
    let _ = delivery.shutdown(far());
    assert_eq!(*seen.lock().unwrap(), [true]);
}

#[test]
fn panic_is_counted_and_the_next_batch_arrives() {
    let calls = Arc::new(Mutex::new(0));
    let delivery = deliver(LIMIT, {
        let calls = Arc::clone(&calls);
        move |_| {
            let mut calls = calls.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            *calls += 1;
            assert!(*calls > 1, "first call");
            async { Ok(()) }
        }
    });
    offer(&delivery);
    assert!(delivery.flush(far()).deadline_met);
    offer(&delivery);
    let ended = delivery.shutdown(far());
    assert_eq!((ended.exporters[0].exported, ended.exporters[0].dropped.panic), (2, 2));
}

#[test]
fn time_out_is_tried_again_and_other_failures_are_not() {
    let calls = Arc::new(Mutex::new(0));
    let delivery = deliver(LIMIT, {
        let calls = Arc::clone(&calls);
        move |_| {
            let mut calls = calls.lock().unwrap();
            *calls += 1;
            let result = match *calls {
                1 => Err(OTelSdkError::Timeout(Duration::from_secs(1))),
                2 => Ok(()),
                _ => Err(OTelSdkError::InternalFailure("disk full".into())),
            };
            async { result }
        }
    });
    offer(&delivery);
    assert!(delivery.flush(far()).deadline_met);
    offer(&delivery);
    let ended = delivery.shutdown(far());
    assert_eq!((ended.exporters[0].exported, ended.exporters[0].dropped.export_failed), (2, 2));
    assert_eq!(*calls.lock().unwrap(), 3);
}

/// What an exporter was given in each call, and where the spans lay.
type Given = Arc<Mutex<Vec<(usize, Vec<SpanData>)>>>;

/// Remembers what it is given, and answers the first call with this.
fn remembering(given: &Given, first: OTelSdkResult) -> Box<dyn BatchExporter> {
    let (given, first) = (Arc::clone(given), Mutex::new(Some(first)));
    let export = move |batch: Vec<SpanData>| {
        given.lock().unwrap().push((batch.as_ptr() as usize, batch));
        let result = first.lock().unwrap().take().unwrap_or(Ok(()));
        async { result }
    };
    object("mine", Calls(export))
}

fn start(exporters: Vec<Box<dyn BatchExporter>>) -> Delivery {
    let settings = DeliverySettings { queue_bytes: 1 << 20, queue_spans: None, export_timeout: LIMIT };
    Delivery::start(exporters, Resource::builder_empty().build(), settings)
}

fn two_spans() -> Vec<SpanData> {
    vec![samples::span(1, 1, 0, "a"), samples::span(1, 2, 1, "b")]
}

#[test]
fn only_exporter_gets_the_spans_themselves() {
    let given = Given::default();
    let delivery = start(vec![remembering(&given, Ok(()))]);
    let spans = two_spans();
    let place = spans.as_ptr() as usize;
    delivery.offer(Spans::to_be_taken(spans), 200);
    assert_eq!(delivery.shutdown(far()).exporters[0].exported, 2);
    assert_eq!(*given.lock().unwrap(), [(place, two_spans())]);
}

#[test]
fn each_of_two_exporters_gets_all_spans() {
    let (first, second) = (Given::default(), Given::default());
    let delivery = start(vec![remembering(&first, Ok(())), remembering(&second, Ok(()))]);
    delivery.offer(Spans::to_be_taken(two_spans()), 200);
    let ended = delivery.shutdown(far());
    assert_eq!((ended.exporters[0].exported, ended.exporters[1].exported), (2, 2));
    let (first, second) = (first.lock().unwrap(), second.lock().unwrap());
    assert_eq!((&first[0].1, &second[0].1), (&two_spans(), &two_spans()));
    assert_ne!(first[0].0, second[0].0);
}

#[test]
fn spans_that_were_given_away_come_again_after_a_time_out() {
    let given = Given::default();
    let delivery = start(vec![remembering(&given, Err(OTelSdkError::Timeout(Duration::from_secs(1))))]);
    delivery.offer(Spans::to_be_taken(two_spans()), 200);
    let ended = delivery.shutdown(far());
    assert_eq!((ended.exporters[0].exported, ended.exporters[0].dropped.total()), (2, 0));
    let given = given.lock().unwrap();
    assert_eq!((given.len(), &given[0].1, &given[1].1), (2, &two_spans(), &two_spans()));
}

#[test]
fn call_that_does_not_return_ends_at_the_time_limit() {
    let (release, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let delivery = deliver(Duration::from_millis(20), move |_| {
        let _ = held.lock().unwrap().recv();
        async { Ok(()) }
    });
    offer(&delivery);
    offer(&delivery);
    assert!(delivery.flush(far()).deadline_met);
    let report = delivery.report();
    assert_eq!(report[0].dropped.export_failed, 4, "the second batch is not sent after the first");
    drop(release);
}
