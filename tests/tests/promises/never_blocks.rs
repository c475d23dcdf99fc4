//! Opening and ending a span never blocks and never panics into the user, wherever it is done.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, PoisonError};
use std::task::{Context as TaskContext, Waker};
use std::thread;
use std::time::{Duration, SystemTime};

use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SamplingResult, ShouldSample, Span, SpanProcessor};
use throughline::opentelemetry::trace::{Link, SpanKind, TraceContextExt as _, TraceId};
use throughline::opentelemetry::{Context, KeyValue};
use throughline::{Report, span, traced_span};

use super::alone::{FAR, SpanData, alone, install, named, setup, value};

#[traced_span("work", fields(number))]
fn work(number: i64) {
    throughline::set_attribute("written", number);
    leaf();
}

#[traced_span("leaf", leaf)]
fn leaf() {}

#[traced_span("later")]
async fn later() {
    std::future::pending::<()>().await;
}

/// Everything that a program may do with spans.
fn everything() {
    work(1);
    leaf();
    let mut future = Box::pin(later());
    assert!(future.as_mut().poll(&mut TaskContext::from_waker(Waker::noop())).is_pending());
    drop(future);
    let _guard = span!("rest", root, fields(a = 1));
    throughline::set_attribute("key", "value");
    throughline::add_event("event", []);
    throughline::record_error(&std::fmt::Error);
    throughline::update_name("renamed");
    let _ = (throughline::trace_id(), throughline::span_id());
    let mut headers: Vec<(String, Vec<u8>)> = Vec::new();
    throughline::inject_trace_context(&mut headers);
}

struct AtTheEnd(Cell<bool>);

impl Drop for AtTheEnd {
    fn drop(&mut self) {
        if self.0.get() {
            everything();
        }
    }
}

thread_local! {
    static AT_THE_END: AtTheEnd = const { AtTheEnd(Cell::new(false)) };
    static KEPT: RefCell<Option<Box<dyn std::any::Any>>> = const { RefCell::new(None) };
}

fn record_at_the_end() {
    AT_THE_END.with(|at_the_end| at_the_end.0.set(true));
}

fn on_a_thread(code: impl FnOnce() + Send + 'static) {
    thread::spawn(code).join().expect("the thread ends as if there were no spans");
}

fn assert_adds_up(report: &Report) {
    assert_eq!(report.ended, report.collected + report.dropped.total(), "{report}");
    assert_eq!(report.unfinished, 0, "{report}");
}

alone! {
    fn span_in_a_thread_local_destructor_that_runs_after_ours() {
        let (telemetry, _kept) = install(setup());
        on_a_thread(|| {
            record_at_the_end();
            work(1);
        });
        let report = telemetry.flush(FAR);
        assert!(report.dropped.thread_exit > 0, "{report}");
        assert_adds_up(&report);
    }

    fn span_in_a_thread_local_destructor_between_opentelemetrys_and_ours() {
        let (telemetry, _kept) = install(setup());
        on_a_thread(|| {
            drop(Context::current());
            record_at_the_end();
            work(1);
        });
        assert_adds_up(&telemetry.flush(FAR));
    }

    fn span_in_a_thread_local_destructor_that_runs_before_ours_is_recorded() {
        let (telemetry, kept) = install(setup());
        on_a_thread(|| {
            work(1);
            record_at_the_end();
        });
        let report = telemetry.flush(FAR);
        assert_eq!(report.dropped.thread_exit, 0, "{report}");
        assert_adds_up(&report);
        assert_eq!(kept.spans().iter().filter(|span| span.name == "work").count(), 2);
    }

    fn first_span_of_a_thread_in_a_thread_local_destructor() {
        let (telemetry, _kept) = install(setup());
        on_a_thread(record_at_the_end);
        on_a_thread(|| {
            record_at_the_end();
            // Now OpenTelemetry's storage goes first.
            drop(Context::current());
        });
        assert_adds_up(&telemetry.flush(FAR));
    }

    fn span_that_is_open_when_its_threads_storage_goes() {
        let (telemetry, _kept) = install(setup());
        on_a_thread(|| {
            KEPT.with_borrow_mut(|kept| *kept = Some(Box::new(span!("kept"))));
        });
        on_a_thread(|| {
            KEPT.with_borrow_mut(|kept| *kept = Some(Box::new(span!("kept", leaf))));
        });
        on_a_thread(|| {
            let mut future = Box::pin(later());
            assert!(future.as_mut().poll(&mut TaskContext::from_waker(Waker::noop())).is_pending());
            KEPT.with_borrow_mut(|kept| *kept = Some(Box::new(future)));
        });
        on_a_thread(|| {
            // The destructor of this one is registered before ours.
            KEPT.with_borrow(|_| ());
            let guard = span!("kept");
            KEPT.with_borrow_mut(|kept| *kept = Some(Box::new(guard)));
        });
        assert_adds_up(&telemetry.flush(FAR));
    }

    /// Threads come and go; what their last destructors record must not eat memory.
    fn threads_that_record_in_their_last_destructors_leave_nothing_behind() {
        // Without an exporter: one that remembers grows by itself.
        let telemetry = setup().install().expect("the only set-up of this process");
        let after = |threads: usize| {
            for _ in 0..threads {
                on_a_thread(|| {
                    record_at_the_end();
                    work(1);
                });
            }
            let _ = telemetry.flush(FAR);
            super::memory::resident_bytes()
        };
        let Some(before) = after(1_000) else { return };
        let after = after(4_000).expect("it was there before");
        assert!(after.saturating_sub(before) < 3 << 20, "{before} bytes, then {after}");
    }

    fn span_inside_the_closure_of_map_current() {
        let before = SystemTime::now() - Duration::from_secs(1);
        let (telemetry, kept) = install(setup());
        Context::map_current(|_| everything());
        let report = telemetry.flush(FAR);
        assert_adds_up(&report);
        let spans = kept.spans();
        assert_eq!(value(named(&spans, "work"), "written"), Some(1.into()));
        // The attachment that fails comes before the clock is read.
        for span in &spans {
            let lasted = span.end_time.duration_since(span.start_time).expect("it ends after it starts");
            assert!(span.start_time >= before && lasted < Duration::from_secs(3600), "{span:?}");
        }
    }

    fn span_in_the_destructor_of_a_value_in_a_context() {
        struct InContext;
        impl Drop for InContext {
            fn drop(&mut self) {
                work(7);
            }
        }
        let (telemetry, kept) = install(setup());
        drop(Context::current_with_value(InContext).attach());
        assert_adds_up(&telemetry.flush(FAR));
        assert_eq!(value(named(&kept.spans(), "work"), "number"), Some(7.into()));
    }

    fn write_whose_span_is_locked_by_a_thread_that_panicked() {
        let (telemetry, kept) = install(setup());
        {
            let _guard = span!("host");
            let cx = Context::current();
            struct Panics;
            impl From<Panics> for std::borrow::Cow<'static, str> {
                fn from(_: Panics) -> Self {
                    std::panic::resume_unwind(Box::new(()))
                }
            }
            let elsewhere = cx.clone();
            let unwound = thread::spawn(move || elsewhere.span().update_name(Panics)).join();
            assert!(unwound.is_err());
            cx.span().set_attribute(KeyValue::new("later", 1));
            work(1);
        }
        assert_adds_up(&telemetry.flush(FAR));
        assert_eq!(kept.spans().len(), 3);
    }

    fn write_after_the_end_is_ignored_and_counted() {
        let (telemetry, kept) = install(setup());
        let captured = {
            let _guard = span!("ended");
            let captured = Context::current();
            captured.span().set_attribute(KeyValue::new("in.time", 1));
            captured
        };
        assert_eq!(telemetry.health().writes_after_end, 0);
        let next = span!("next owner of the cell");
        thread::spawn(move || {
            captured.span().set_attribute(KeyValue::new("late", 1));
            captured.span().add_event("late", vec![]);
        })
        .join()
        .expect("no panic");
        drop(next);
        assert_eq!(telemetry.health().writes_after_end, 2);
        assert_adds_up(&telemetry.flush(FAR));
        let spans = kept.spans();
        assert_eq!(value(named(&spans, "ended"), "in.time"), Some(1.into()));
        for span in &spans {
            assert!(value(span, "late").is_none() && span.events.is_empty(), "{span:?}");
        }
    }

    fn recording_goes_on_while_the_collector_stands_still() {
        let (release, blocked) = channel();
        let (telemetry, _kept) = install(setup().span_processor(Blocks::on(blocked)).queue_bytes(1 << 20));
        for number in 0..50_000 {
            work(number);
        }
        let report = telemetry.flush(Duration::from_millis(1));
        assert!(!report.deadline_met, "{report}");
        assert_eq!(report.ended, 100_000, "{report}");
        assert!(report.dropped.queue_full > 0, "{report}");
        drop(release);
        let report = telemetry.flush(FAR);
        assert!(report.deadline_met, "{report}");
        assert_adds_up(&report);
    }

    fn shutdown_returns_while_the_collector_stands_still() {
        let (_release, blocked) = channel();
        let (telemetry, _kept) = install(setup().span_processor(Blocks::on(blocked)));
        work(1);
        let report = telemetry.shutdown(Duration::from_millis(1));
        assert!(!report.deadline_met, "{report}");
        assert_eq!(report.ended, 2, "{report}");
    }

    fn sampler_that_panics_costs_the_span_and_nobody_else() {
        let (telemetry, kept) = install(setup().sampler(Panics));
        work(1);
        drop(later());
        let mut future = Box::pin(later());
        assert!(future.as_mut().poll(&mut TaskContext::from_waker(Waker::noop())).is_pending());
        drop(span!("rest", root));
        assert_adds_up(&telemetry.flush(FAR));
        assert!(kept.spans().is_empty());
    }

    fn value_that_fails_to_format_is_left_at_what_it_wrote() {
        struct Fails;
        impl std::fmt::Display for Fails {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("half")?;
                Err(std::fmt::Error)
            }
        }
        impl std::fmt::Debug for Fails {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(self, f)
            }
        }
        impl std::error::Error for Fails {}

        #[traced_span("fails", fields(%shown, ?debugged))]
        fn fails(shown: &Fails, debugged: &Fails) -> Result<(), Fails> {
            throughline::record_error(shown);
            let _ = debugged;
            Err(Fails)
        }
        let (telemetry, kept) = install(setup());
        assert!(fails(&Fails, &Fails).is_err());
        assert_adds_up(&telemetry.flush(FAR));
        let spans = kept.spans();
        let span = named(&spans, "fails");
        assert_eq!(value(span, "shown"), Some("half".into()));
        assert_eq!(value(span, "debugged"), Some("half".into()));
    }
}

/// A processor that keeps the collector's thread until its sender is dropped.
#[derive(Debug)]
pub(crate) struct Blocks(Mutex<Receiver<()>>);

impl Blocks {
    pub(crate) fn on(blocked: Receiver<()>) -> Self {
        Self(Mutex::new(blocked))
    }
}

impl SpanProcessor for Blocks {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, _: SpanData) {
        let _ = self.0.lock().unwrap_or_else(PoisonError::into_inner).recv();
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

#[derive(Clone, Debug)]
struct Panics;

impl ShouldSample for Panics {
    fn should_sample(
        &self,
        _: Option<&Context>,
        _: TraceId,
        _: &str,
        _: &SpanKind,
        _: &[KeyValue],
        _: &[Link],
    ) -> SamplingResult {
        std::panic::resume_unwind(Box::new("the sampler's own mistake"))
    }
}
