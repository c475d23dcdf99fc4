//! A process that forks while its threads record: the child says that it is off, and no id is made twice.

// There is no safe way to fork, for the reasons that are tested here.
#![allow(unsafe_code)]

use std::collections::HashSet;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::FromRawFd as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use throughline::opentelemetry::trace::{Span as _, TraceContextExt as _, Tracer as _};
use throughline::opentelemetry::{Context, KeyValue, global};
use throughline::span::Span;
use throughline::{HealthState, Telemetry, span, traced_span};

use super::alone::{FAR, SpanData, alone, install, setup};

const FORKS: usize = 30;
/// The ids that a child makes by others' spans: a trace and a span each.
const MADE: usize = 16;

#[traced_span("work", fields(number))]
fn work(number: usize) -> Option<String> {
    throughline::set_attribute("written", "to the side");
    leaf();
    throughline::span_id()
}

#[traced_span("leaf", leaf)]
fn leaf() {}

fn foreign() -> [String; 2] {
    let mut span = global::tracer("theirs").start("foreign");
    let context = span.span_context().clone();
    span.end();
    [context.trace_id().to_string(), context.span_id().to_string()]
}

/// Runs `child` in a forked process, which must end well, and gives what it wrote.
fn in_child(child: impl FnOnce(&mut File)) -> String {
    let mut ends = [0; 2];
    // SAFETY: the array has the two places that are written.
    assert_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0);
    // SAFETY: the descriptors are open, and nobody else has them.
    let (mut from_child, mut to_parent) = unsafe { (File::from_raw_fd(ends[0]), File::from_raw_fd(ends[1])) };
    // SAFETY: what the child does is what is tested: it waits for no lock that another thread may have held.
    let process = unsafe { libc::fork() };
    assert!(process >= 0);
    if process == 0 {
        // A child that waits for ever fails the test instead of hanging it.
        // SAFETY: no handler is installed for the signal.
        unsafe { libc::alarm(60) };
        let ended = catch_unwind(AssertUnwindSafe(|| child(&mut to_parent)));
        // SAFETY: ends the process at once; nothing of the parent's is run in it.
        unsafe { libc::_exit(i32::from(ended.is_err())) };
    }
    drop(to_parent);
    let mut written = String::new();
    from_child.read_to_string(&mut written).expect("text");
    let mut status = 0;
    // SAFETY: the child is ours and waited for once.
    assert_eq!(unsafe { libc::waitpid(process, &raw mut status, 0) }, process);
    assert!(
        libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0,
        "the child ended with {status}: {written}"
    );
    written
}

/// Everything that a child may do with the library.
fn be_a_child(telemetry: &Telemetry, open: Option<Span>, out: &mut File) {
    let health = telemetry.health();
    assert_eq!((health.state, health.is_forked_child), (HealthState::Down, true));
    assert!(!telemetry.is_enabled());
    let before = throughline::span_id();
    assert_eq!(work(1), before, "an annotated function makes no span");
    Context::current().span().set_attribute(KeyValue::new("from.the.child", true));
    assert!(!Context::current().span().is_recording());
    drop(open);
    for number in 0..1_000 {
        work(number);
    }
    thread::spawn(|| {
        assert_eq!(work(1), None);
        foreign();
    })
    .join()
    .expect("no panic");
    for _ in 0..MADE {
        let [trace, span] = foreign();
        writeln!(out, "{trace}\n{span}").expect("the parent reads");
    }
    assert!(telemetry.flush(FAR).is_complete());
    assert!(telemetry.shutdown(FAR).is_complete());
    drop(Telemetry::current());
}

alone! {
    fn child_of_a_recording_process_is_off_says_so_and_repeats_no_id() {
        let (telemetry, kept) = install(setup());
        let stop = AtomicBool::new(false);
        let children: Vec<String> = thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let mut number = 0;
                    while !stop.load(Ordering::Relaxed) {
                        work(number);
                        foreign();
                        number += 1;
                        if number.is_multiple_of(1_000) {
                            let _ = telemetry.flush(FAR);
                        }
                    }
                });
            }
            let ended = catch_unwind(AssertUnwindSafe(|| {
                (0..FORKS)
                    .map(|_| {
                        // Each in a trace of its own: a root, and what it calls.
                        let mut open = Some(span!("open"));
                        let written = in_child(|out| be_a_child(&telemetry, open.take(), out));
                        foreign();
                        written
                    })
                    .collect()
            }));
            stop.store(true, Ordering::Relaxed);
            ended.expect("each child ends well")
        });
        let report = telemetry.shutdown(FAR);
        assert_eq!((report.unfinished, report.ended), (0, report.collected + report.dropped.total()), "{report}");
        assert!(!telemetry.health().is_forked_child, "the parent goes on");

        let spans = kept.spans();
        assert_eq!(spans.iter().filter(|span| span.name == "open").count(), FORKS, "once, by the parent");
        let from_child = |span: &SpanData| span.attributes.iter().any(|kv| kv.key.as_str() == "from.the.child");
        assert!(!spans.iter().any(from_child));
        let mut ids: HashSet<String> = HashSet::new();
        for span in &spans {
            assert!(ids.insert(span.span_context.span_id().to_string()), "twice: {span:?}");
        }
        ids.extend(spans.iter().map(|span| span.span_context.trace_id().to_string()));
        for id in children.iter().flat_map(|written| written.lines()) {
            // The trace of the span that was open at the fork is the parent's, and so is what happens in it.
            assert!(ids.insert(id.to_owned()) || id.len() == 32, "made twice: {id}");
        }
        assert_eq!(children.iter().map(|written| written.lines().count()).sum::<usize>(), FORKS * MADE * 2);
    }

    fn child_has_trace_ids_of_its_own() {
        let (_telemetry, _kept) = install(setup());
        foreign();
        let mut ids: HashSet<String> = HashSet::new();
        for _ in 0..4 {
            let written = in_child(|out| {
                for id in (0..MADE).flat_map(|_| foreign()) {
                    writeln!(out, "{id}").expect("the parent reads");
                }
            });
            let made: Vec<_> = written.lines().map(str::to_owned).collect();
            assert_eq!(made.len(), 2 * MADE);
            for id in made.into_iter().chain(foreign()) {
                assert!(ids.insert(id.clone()), "made twice: {id}");
            }
        }
    }

    fn child_of_a_process_with_a_local_pipeline_waits_for_nobody() {
        let telemetry = setup().local().expect("set-up");
        let written = in_child(|out| {
            assert!(telemetry.health().is_forked_child);
            assert!(telemetry.flush(FAR).is_complete());
            drop(telemetry);
            out.write_all(b"ended").expect("the parent reads");
        });
        assert_eq!(written, "ended");
    }

    fn child_that_sets_up_itself_records() {
        // Forked before any set-up, as a server does that sets up in each of its workers.
        let written = in_child(|out| {
            let (telemetry, kept) = install(setup());
            work(1);
            let report = telemetry.shutdown(FAR);
            assert!(report.is_complete(), "{report}");
            write!(out, "{}", kept.spans().len()).expect("the parent reads");
        });
        assert_eq!(written, "2");
    }
}
