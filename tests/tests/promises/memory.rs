//! Memory is bounded by bytes, and by count when that is set.

use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;

use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::SpanExporter;
use throughline::traced_span;

use super::alone::{FAR, SpanData, alone, install, setup};
use super::never_blocks::Blocks;

const LARGE: usize = 100 << 10;

#[traced_span("large", fields(value))]
fn large(value: &str) {
    let _ = value;
}

#[traced_span("small", fields(number))]
fn small(number: usize) {
    let _ = number;
}

/// The memory that this process has in use; `None` where the system does not tell.
pub(crate) fn resident_bytes() -> Option<usize> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: usize = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * 4096)
}

/// The numbers of spans that it was given at once.
#[derive(Clone, Debug, Default)]
struct Sizes(Arc<Mutex<Vec<usize>>>);

impl SpanExporter for Sizes {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().expect("no panic").push(batch.len());
        Ok(())
    }
}

alone! {
    /// Ten thousand spans of 100 KiB are a gigabyte; nobody takes them.
    fn resident_memory_is_flat_with_large_values_and_a_dead_exporter() {
        let telemetry = setup()
            .exporters([throughline::Exporter::Otlp])
            // Nothing listens on this port.
            .otlp_endpoint("http://127.0.0.1:1")
            .install()
            .expect("the only set-up of this process");
        let value = "x".repeat(LARGE);
        large(&value);
        let _ = telemetry.flush(Duration::ZERO);
        let Some(before) = resident_bytes() else { return };
        let mut most = 0;
        for number in 0..10_000 {
            large(&value);
            if number % 50 == 0 {
                most = most.max(resident_bytes().expect("it was there before"));
            }
        }
        // The budget is 16 MiB. What is being encoded and what the allocator keeps comes on top.
        assert!(most.saturating_sub(before) < 40 << 20, "{before} bytes, then {most}");
        let report = telemetry.shutdown(Duration::ZERO);
        assert_eq!(report.ended, 10_001, "{report}");
        assert!(report.dropped.queue_full > 0, "{report}");
    }

    /// A batch of 512 such spans would be larger than the place of any exporter.
    fn large_values_leave_in_small_batches() {
        let sizes = Sizes::default();
        let (telemetry, kept) = install(setup().schedule_delay(FAR).exporter(sizes.clone()));
        let value = "x".repeat(LARGE);
        for _ in 0..4 {
            for _ in 0..30 {
                large(&value);
            }
            // Collected, and not flushed: nothing but its size ends a batch.
            while telemetry.health().queue.spans > 0 {
                thread::yield_now();
            }
        }
        let report = telemetry.flush(FAR);
        assert!(report.is_complete(), "{report}");
        assert_eq!(kept.spans().len(), 120);
        let largest = *sizes.0.lock().expect("no panic").iter().max().expect("a batch");
        // Half of 16 MiB for two exporters, and eight batches for each.
        assert!(largest * LARGE <= (512 << 10) + LARGE, "a batch of {largest} spans");
    }

    fn queue_is_bounded_by_count() {
        let (release, blocked) = channel();
        let variables = [("OTEL_BSP_MAX_QUEUE_SIZE", "100")];
        let (telemetry, _kept) = install(setup().environment(variables).span_processor(Blocks::on(blocked)));
        for number in 0..1_000 {
            small(number);
        }
        let waiting = telemetry.health().queue.spans;
        assert!((1..=100).contains(&waiting), "{waiting} spans wait");
        drop(release);
        assert!(telemetry.flush(FAR).deadline_met);
    }

    fn thread_goes_on_under_a_small_count() {
        let variables = [("OTEL_BSP_MAX_QUEUE_SIZE", "100")];
        let (telemetry, kept) = install(setup().environment(variables));
        for round in 1..=20 {
            for number in 0..40 {
                small(number);
            }
            let report = telemetry.flush(FAR);
            assert!(report.is_complete(), "round {round}: {report}");
        }
        assert_eq!(kept.spans().len(), 800);
    }

    /// Threads that recorded once and now wait for work have room that they do not use.
    fn idle_threads_do_not_starve_the_others() {
        for_idle_threads(setup().queue_bytes(1 << 20), 600, 40);
    }

    fn idle_threads_do_not_starve_the_others_under_a_small_count() {
        for_idle_threads(setup().environment([("OTEL_BSP_MAX_QUEUE_SIZE", "100")]), 40, 20);
    }
}

fn for_idle_threads(setup: throughline::Setup, threads: usize, each: usize) {
    let (telemetry, kept) = install(setup);
    let idle = Arc::new(Barrier::new(threads + 1));
    let handles: Vec<_> = (0..threads)
        .map(|_| {
            let idle = Arc::clone(&idle);
            let (go, going) = channel::<()>();
            let (done, is_done) = channel();
            let handle = thread::spawn(move || {
                let _ = going.recv();
                (0..each).for_each(small);
                let _ = done.send(());
                idle.wait();
            });
            (go, is_done, handle)
        })
        .collect();
    for (number, (go, is_done, _)) in handles.iter().enumerate() {
        go.send(()).expect("the thread waits");
        is_done.recv().expect("the thread recorded");
        let report = telemetry.flush(FAR);
        assert!(report.is_complete(), "thread {number}: {report}");
    }
    assert_eq!(kept.spans().len(), threads * each);
    idle.wait();
    for (_, _, handle) in handles {
        handle.join().expect("no panic");
    }
}
