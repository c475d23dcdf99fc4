//! The capture that users' own tests are written with. Nothing is set up here: the first capture does it.

use std::sync::Barrier;
use std::thread;

use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{SpanId, Status, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, global};
use throughline::testing::{capture, capture_async};
use throughline::traced_span;

#[derive(Debug)]
struct StepFailed;

impl std::fmt::Display for StepFailed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no disk")
    }
}

impl std::error::Error for StepFailed {}

#[traced_span("planning.generate_plan", fields(plan_id))]
fn generate_plan(plan_id: u64) -> Result<(), StepFailed> {
    analyze_task();
    execute_step()
}

#[traced_span("planning.analyze_task")]
fn analyze_task() {}

#[traced_span("execution.execute_step")]
fn execute_step() -> Result<(), StepFailed> {
    Err(StepFailed)
}

#[traced_span("ollama.generate")]
async fn generate(words: usize) -> usize {
    tokio::task::yield_now().await;
    analyze_task();
    words
}

const PLAN: &str = "\
planning.generate_plan  error: capture::StepFailed: no disk  plan_id=7
├─ planning.analyze_task
└─ execution.execute_step  error: capture::StepFailed: no disk
";

#[test]
fn tree_is_the_same_text_in_every_run() {
    for _ in 0..20 {
        let captured = capture(|| generate_plan(7));
        assert!(captured.output.is_err());
        assert_eq!(captured.tree(), PLAN);
    }
}

#[test]
fn spans_are_the_exported_ones() {
    let captured = capture(|| generate_plan(7));
    let plan = captured.span("planning.generate_plan").expect("the plan");
    let step = captured.span("execution.execute_step").expect("the step");
    assert_eq!(step.parent_span_id, plan.span_context.span_id());
    assert_eq!(step.status, Status::error("no disk"));
    assert_eq!(captured.spans().len(), 3);
    assert_ne!(plan.parent_span_id, SpanId::INVALID, "the capture's own root");
    assert!(captured.spans().iter().all(|span| span.span_context.trace_id() == plan.span_context.trace_id()));
}

#[test]
fn captures_in_parallel_do_not_see_each_other() {
    const THREADS: u64 = 8;
    let together = Barrier::new(8);
    thread::scope(|scope| {
        for plan_id in 0..THREADS {
            let together = &together;
            scope.spawn(move || {
                for _ in 0..50 {
                    together.wait();
                    let captured = capture(|| generate_plan(plan_id));
                    assert_eq!(captured.spans().len(), 3);
                    assert!(captured.tree().contains(&format!("plan_id={plan_id}\n")), "{}", captured.tree());
                }
            });
        }
    });
}

#[test]
fn capture_inside_a_capture_has_a_trace_of_its_own() {
    let outer = capture(|| {
        analyze_task();
        let inner = capture(analyze_task);
        assert_eq!(inner.tree(), "planning.analyze_task\n");
    });
    assert_eq!(outer.tree(), "planning.analyze_task\n");
}

#[test]
fn spans_of_the_plain_api_are_captured_too() {
    let captured = capture(|| global::tracer("plain").in_span("by hand", |_| analyze_task()));
    assert_eq!(captured.tree(), "by hand\n└─ planning.analyze_task\n");
}

#[test]
fn other_threads_belong_to_it_when_they_have_the_context() {
    let captured = capture(|| {
        let context = Context::current();
        thread::scope(|scope| {
            scope.spawn(|| {
                let _attached = context.attach();
                analyze_task();
            });
            scope.spawn(|| drop(execute_step()));
        });
    });
    assert_eq!(captured.tree(), "planning.analyze_task\n");
}

#[test]
fn code_that_panics_leaves_nothing_behind() {
    let before = Context::current().span().span_context().clone();
    let panicked = std::panic::catch_unwind(|| capture(|| std::panic::resume_unwind(Box::new(()))));
    assert!(panicked.is_err());
    assert_eq!(*Context::current().span().span_context(), before);
    assert_eq!(capture(analyze_task).spans().len(), 1);
}

#[test]
fn nothing_recorded_is_an_empty_capture() {
    let captured = capture(|| 42);
    assert_eq!((captured.output, captured.spans().len(), captured.tree().as_str()), (42, 0, ""));
}

#[tokio::test]
async fn async_code_on_one_thread() {
    let captured = capture_async(generate(3)).await;
    assert_eq!(captured.output, 3);
    assert_eq!(captured.tree(), "ollama.generate\n└─ planning.analyze_task\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn async_code_on_several_threads_with_a_task() {
    let captured = capture_async(async {
        let task = tokio::spawn(generate(1).with_context(Context::current()));
        generate(2).await + task.await.expect("no panic")
    })
    .await;
    assert_eq!(captured.output, 3);
    assert_eq!(captured.spans().len(), 4);
    assert_eq!(captured.tree(), "ollama.generate\n└─ planning.analyze_task\n".repeat(2));
}

#[tokio::test]
async fn async_captures_side_by_side_do_not_see_each_other() {
    let (first, second) = tokio::join!(capture_async(generate(1)), capture_async(generate(2)));
    assert_eq!((first.spans().len(), second.spans().len()), (2, 2));
    assert_ne!(first.spans()[0].span_context.trace_id(), second.spans()[0].span_context.trace_id());
}

#[test]
fn set_up_after_a_capture_is_an_error_and_no_panic() {
    let _ = capture(analyze_task);
    assert!(matches!(throughline::setup_tracing("late"), Err(throughline::SetupError::AlreadyInstalled)));
}
