//! Every span is in exactly one counter: at the intake, and at each exporter.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context as TaskContext, Waker};
use std::thread;

use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::SpanExporter;
use proptest::prelude::*;
use throughline::opentelemetry::global;
use throughline::opentelemetry::trace::Tracer as _;
use throughline::{Report, Telemetry, span, traced_span};

use super::alone::{FAR, SpanData, alone, setup};

/// What the exporter does next.
static FAULT: AtomicU32 = AtomicU32::new(0);

#[derive(Debug)]
struct Faulty;

impl SpanExporter for Faulty {
    async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
        match FAULT.load(Ordering::SeqCst) {
            0 => Ok(()),
            1 => Err(OTelSdkError::InternalFailure("on purpose".into())),
            _ => resume_unwind(Box::new("on purpose")),
        }
    }
}

#[traced_span("work")]
fn work(fails: bool) -> Result<(), String> {
    leaf();
    if fails { Err("on purpose".to_owned()) } else { Ok(()) }
}

#[traced_span("leaf", leaf)]
fn leaf() {}

#[traced_span("panics")]
fn panics() {
    resume_unwind(Box::new("on purpose"))
}

#[traced_span("later")]
async fn later() {
    std::future::pending::<()>().await;
}

struct AtTheEnd;

impl Drop for AtTheEnd {
    fn drop(&mut self) {
        let _ = work(false);
    }
}

thread_local! {
    static AT_THE_END: RefCell<Option<AtTheEnd>> = const { RefCell::new(None) };
}

#[derive(Clone, Copy, Debug)]
enum Act {
    Work {
        fails: bool,
    },
    Panic,
    Cancel,
    Open,
    Close,
    Foreign,
    /// A thread that records, and again in a destructor before or after our own.
    Thread {
        destructor_is_ours_first: bool,
    },
    Exporter(u32),
    Flush,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => any::<bool>().prop_map(|fails| Act::Work { fails }),
        2 => Just(Act::Panic),
        2 => Just(Act::Cancel),
        2 => Just(Act::Open),
        2 => Just(Act::Close),
        2 => Just(Act::Foreign),
        2 => any::<bool>().prop_map(|first| Act::Thread { destructor_is_ours_first: first }),
        1 => (0_u32..3).prop_map(Act::Exporter),
        2 => Just(Act::Flush),
    ]
}

/// The numbers of a flush, when nobody records meanwhile, add up without a remainder.
fn assert_law(report: &Report, open: usize) {
    assert!(report.deadline_met, "{report}");
    assert_eq!(report.ended, report.collected + report.dropped.total(), "{report}");
    assert_eq!(report.unfinished, open as u64, "{report}");
    for exporter in &report.exporters {
        let accounted = exporter.exported + exporter.dropped.total() + exporter.undelivered;
        assert_eq!(report.collected, accounted, "{report}");
    }
}

fn perform(telemetry: &Telemetry, acts: &[Act]) {
    let mut open = Vec::new();
    for act in acts {
        match *act {
            Act::Work { fails } => assert_eq!(work(fails).is_err(), fails),
            Act::Panic => assert!(catch_unwind(panics).is_err()),
            Act::Cancel => {
                let mut future = Box::pin(later());
                let mut task = TaskContext::from_waker(Waker::noop());
                assert!(future.as_mut().poll(&mut task).is_pending());
            }
            Act::Open => open.push(span!("open")),
            Act::Close => drop(open.pop()),
            Act::Foreign => global::tracer("theirs").in_span("foreign", |_| ()),
            Act::Thread { destructor_is_ours_first } => {
                let at_the_end = || AT_THE_END.with_borrow_mut(|kept| *kept = Some(AtTheEnd));
                let ended = thread::spawn(move || {
                    if destructor_is_ours_first {
                        at_the_end();
                    }
                    let _ = work(false);
                    at_the_end();
                });
                ended.join().expect("no panic");
            }
            Act::Exporter(fault) => FAULT.store(fault, Ordering::SeqCst),
            Act::Flush => assert_law(&telemetry.flush(FAR), open.len()),
        }
    }
    while open.pop().is_some() {}
    assert_law(&telemetry.flush(FAR), 0);
}

alone! {
    fn every_span_is_counted_once_whatever_happens_to_it() {
        let telemetry = setup().exporter(Faulty).batch_size(7).install().expect("the only set-up");
        proptest!(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() },
            |(acts in proptest::collection::vec(act(), 0..40))| perform(&telemetry, &acts));
        let last = telemetry.shutdown(FAR);
        assert_law(&last, 0);
        assert!(last.dropped.thread_exit > 0 && last.ended > 1_000, "not much was tried: {last}");
    }

    fn span_that_is_open_at_the_shutdown_is_counted_when_it_ends() {
        let telemetry = setup().exporter(Faulty).install().expect("the only set-up");
        let ours = span!("ours");
        let foreign = global::tracer("theirs").start("foreign");
        let report = telemetry.shutdown(FAR);
        assert_eq!((report.ended, report.unfinished), (0, 2), "{report}");
        drop((ours, foreign));
        let _ = work(false);
        let report = telemetry.shutdown(FAR);
        assert_eq!((report.ended, report.unfinished), (2, 0), "{report}");
        assert_eq!(report.dropped.already_shutdown, 2, "{report}");
    }

    /// Threads record while the shutdown passes: each span is in a counter, whichever it is.
    fn spans_that_end_during_the_shutdown_are_counted() {
        let telemetry = setup().exporter(Faulty).install().expect("the only set-up");
        let stop = std::sync::atomic::AtomicBool::new(false);
        let report = thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        let _ = catch_unwind(AssertUnwindSafe(|| work(false)));
                        global::tracer("theirs").in_span("foreign", |_| ());
                    }
                });
            }
            while telemetry.health().exporters[0].exported < 1_000 {
                let _ = telemetry.flush(FAR);
            }
            let _ = telemetry.shutdown(FAR);
            stop.store(true, Ordering::Relaxed);
            telemetry
        })
        .shutdown(FAR);
        assert_law(&report, 0);
    }
}
