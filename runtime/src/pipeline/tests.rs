//! The pipeline as a whole, with an exporter that remembers.

use std::sync::Mutex;

use opentelemetry::trace::{SpanId, SpanKind, Status, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::SpanData;

use super::exporter::{ExportFuture, Exported};
use super::*;
use crate::span::{
    Kind, Options, Outcome, OwnedSpan, Scope, Site, Span, enter, enter_leaf, in_span, open, open_with,
    path_of, set_display, set_static, traced,
};

static EXPORTED: Mutex<Vec<SpanData>> = Mutex::new(Vec::new());

struct Remember;

impl BatchExporter for Remember {
    fn component_type(&self) -> &'static str {
        "test_span_exporter"
    }

    fn name(&self) -> &str {
        "remember"
    }

    fn start(&mut self, _resource: &Resource) {}

    fn export<'a>(&'a mut self, spans: &'a [SpanData]) -> ExportFuture<'a> {
        EXPORTED.lock().unwrap().extend_from_slice(spans);
        Box::pin(async { Ok(Exported::default()) })
    }

    fn may_block(&self) -> bool {
        false
    }
}

fn settings() -> PipelineSettings {
    PipelineSettings {
        resource: Resource::builder_empty().build(),
        sampler: SamplerSetting::ParentBasedAlwaysOn,
        limits: SpanLimits::DEFAULT,
        queue_bytes: 16 << 20,
        queue_spans: None,
        schedule_delay: Duration::from_secs(1),
        batch_size: 512,
        export_timeout: Duration::from_secs(60),
        code_attributes: true,
        processors: Vec::new(),
    }
}

/// The process's pipeline: annotated functions know only one.
fn pipeline() -> &'static Pipeline {
    static PIPELINE: std::sync::OnceLock<Pipeline> = std::sync::OnceLock::new();
    PIPELINE.get_or_init(|| Pipeline::start(settings(), vec![Box::new(Remember)], true).unwrap())
}

fn flush() -> Report {
    pipeline().flush(Instant::now() + Duration::from_secs(20))
}

/// The spans of one trace, by name.
fn spans_of(trace: &str) -> Vec<SpanData> {
    let report = flush();
    assert!(report.deadline_met, "{report}");
    let all = EXPORTED.lock().unwrap();
    all.iter().filter(|span| span.span_context.trace_id().to_string() == trace).cloned().collect()
}

fn named<'s>(spans: &'s [SpanData], name: &str) -> &'s SpanData {
    let mut found = spans.iter().filter(|span| span.name == name);
    let span = found.next().unwrap_or_else(|| panic!("no span {name} in {spans:?}"));
    assert!(found.next().is_none(), "two spans {name}");
    span
}

fn attribute(span: &SpanData, key: &str) -> Option<opentelemetry::Value> {
    span.attributes.iter().find(|kv| kv.key.as_str() == key).map(|kv| kv.value.clone())
}

macro_rules! site {
    ($name:literal) => {
        site!($name, [])
    };
    ($name:literal, $keys:expr) => {{
        static SITE: Site = Site::new(
            $name,
            Kind::Internal,
            &$keys,
            Scope::new(Some("app"), Some("1.2.3")),
            file!(),
            line!(),
            {
                fn f() {}
                || path_of(f)
            },
        );
        &SITE
    }};
}

fn trace() -> String {
    crate::trace_id().unwrap()
}

#[test]
fn a_span_carries_what_its_site_and_its_code_say() {
    pipeline();
    let mut root = Span::idle(site!("root", ["id", "kind"]));
    assert!(enter(&mut root));
    set_display(&mut root, 0, &7_i64);
    set_static(&mut root, 1, "abc");
    let id = trace();
    crate::set_attribute("later", 1);
    crate::add_event("happened", [KeyValue::new("a", 1)]);
    Context::current().span().set_attribute(KeyValue::new("by_otel", true));
    drop(root);

    let spans = spans_of(&id);
    let root = named(&spans, "root");
    assert_eq!(attribute(root, "id"), Some("7".into()));
    assert_eq!(attribute(root, "kind"), Some("abc".into()));
    assert_eq!(attribute(root, "later"), Some(1.into()));
    assert_eq!(attribute(root, "by_otel"), Some(true.into()));
    assert_eq!(root.events.events.len(), 1);
    assert_eq!(root.parent_span_id, SpanId::INVALID);
    assert_eq!(root.span_kind, SpanKind::Internal);
    assert_eq!(root.status, Status::Unset);
    assert_eq!(root.instrumentation_scope.name(), "app");
    assert_eq!(root.instrumentation_scope.version(), Some("1.2.3"));
    let function = attribute(root, "code.function.name").unwrap().to_string();
    assert!(function.ends_with("a_span_carries_what_its_site_and_its_code_say"), "{function}");
    assert!(root.end_time >= root.start_time);
    let age = std::time::SystemTime::now().duration_since(root.start_time).unwrap();
    assert!(age < Duration::from_secs(60), "{age:?}");
}

#[test]
fn spans_of_ours_and_of_others_nest_in_both_directions() {
    let tracer = pipeline().provider().tracer("theirs");
    let mut outer = Span::idle(site!("outer"));
    enter(&mut outer);
    let id = trace();
    tracer.in_span("theirs", |_| {
        let mut inner = Span::idle(site!("inner"));
        enter(&mut inner);
        let mut leaf = Span::idle(site!("leaf"));
        enter_leaf(&mut leaf);
        let mut below_leaf = Span::idle(site!("below_leaf"));
        enter(&mut below_leaf);
        tracer.in_span("innermost", |_| ());
    });
    drop(outer);

    let spans = spans_of(&id);
    assert_eq!(spans.len(), 6);
    for (child, parent) in [
        ("theirs", "outer"),
        ("inner", "theirs"),
        ("leaf", "inner"),
        ("below_leaf", "leaf"),
        ("innermost", "below_leaf"),
    ] {
        let (child, parent) = (named(&spans, child), named(&spans, parent));
        assert_eq!(
            child.parent_span_id,
            parent.span_context.span_id(),
            "{} under {}",
            child.name,
            parent.name
        );
    }
}

#[test]
fn a_leaf_takes_writes_and_a_root_leaf_has_children() {
    pipeline();
    let mut leaf = Span::idle(site!("leaf"));
    enter_leaf(&mut leaf);
    let id = trace();
    crate::set_attribute("written", 1);
    {
        let mut child = Span::idle(site!("child"));
        enter(&mut child);
        crate::set_attribute("to_child", 1);
    }
    crate::set_attribute("again", 2);
    drop(leaf);

    let spans = spans_of(&id);
    let leaf = named(&spans, "leaf");
    assert_eq!(attribute(leaf, "written"), Some(1.into()));
    assert_eq!(attribute(leaf, "again"), Some(2.into()));
    assert_eq!(attribute(leaf, "to_child"), None);
    assert_eq!(named(&spans, "child").parent_span_id, leaf.span_context.span_id());
    assert_eq!(crate::trace_id(), None);
}

#[test]
fn an_outcome_and_a_panic_are_errors() {
    pipeline();
    let mut root = Span::idle(site!("root"));
    enter(&mut root);
    let id = trace();
    let mut failing = Span::idle(site!("failing"));
    enter(&mut failing);
    in_span(
        &mut failing,
        || (),
        |()| Outcome::Failed { error_type: "E".into(), description: Some("why".into()) },
    );
    let unwound = std::panic::catch_unwind(|| {
        let mut panicking = Span::idle(site!("panicking"));
        enter(&mut panicking);
        std::panic::resume_unwind(Box::new(()));
    });
    assert!(unwound.is_err());
    drop(root);

    let spans = spans_of(&id);
    assert_eq!(named(&spans, "failing").status, Status::error("why"));
    assert_eq!(attribute(named(&spans, "failing"), "error.type"), Some("E".into()));
    assert_eq!(named(&spans, "panicking").status, Status::error("panicked"));
    assert_eq!(attribute(named(&spans, "panicking"), "error.type"), Some("panic".into()));
    assert_eq!(named(&spans, "root").status, Status::Unset);
}

#[test]
fn a_future_is_current_in_each_poll_and_ends_with_its_value() {
    pipeline();
    async fn body() -> String {
        let before = trace();
        tokio::task::yield_now().await;
        let mut child = Span::idle(site!("child"));
        enter(&mut child);
        drop(child);
        assert_eq!(before, trace());
        before
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let id = runtime.block_on(async {
        let mut span = OwnedSpan::idle(site!("future"));
        open(&mut span);
        traced(span, body(), |_| Outcome::None).await
    });
    assert_eq!(crate::trace_id(), None);
    let spans = spans_of(&id);
    assert_eq!(named(&spans, "child").parent_span_id, named(&spans, "future").span_context.span_id());
    assert_eq!(attribute(named(&spans, "future"), "throughline.cancelled"), None);
}

#[test]
fn a_dropped_future_is_cancelled_and_its_destructors_see_the_span() {
    pipeline();
    struct InDrop;
    impl Drop for InDrop {
        fn drop(&mut self) {
            let mut span = Span::idle(site!("in_drop"));
            enter(&mut span);
        }
    }
    let mut span = OwnedSpan::idle(site!("future"));
    open(&mut span);
    let id = span.span_context().trace_id().to_string();
    let mut future = Box::pin(traced(
        span,
        async {
            let _guard = InDrop;
            std::future::pending::<()>().await;
        },
        |()| Outcome::None,
    ));
    let mut task = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(future.as_mut().poll(&mut task).is_pending());
    drop(future);

    let spans = spans_of(&id);
    let span = named(&spans, "future");
    assert_eq!(attribute(span, "throughline.cancelled"), Some(true.into()));
    assert_eq!(span.status, Status::Unset);
    assert_eq!(named(&spans, "in_drop").parent_span_id, span.span_context.span_id());
}

#[test]
fn options_give_name_parent_links_and_scope() {
    pipeline();
    let mut caller = Span::idle(site!("caller"));
    enter(&mut caller);
    let caller_context = Context::current().span().span_context().clone();
    let mut root = OwnedSpan::idle(site!("static"));
    open_with(&mut root, Options::new().root().name("dynamic".to_owned()).scope("mine"));
    let root_context = root.span_context();
    drop(root);
    let mut child = OwnedSpan::idle(site!("child"));
    open_with(&mut child, Options::new().parent(&root_context));
    drop(child);
    drop(caller);
    assert_ne!(root_context.trace_id(), caller_context.trace_id());

    let spans = spans_of(&root_context.trace_id().to_string());
    let root = named(&spans, "dynamic");
    assert_eq!(root.parent_span_id, SpanId::INVALID);
    assert_eq!(root.links.links[0].span_context.span_id(), caller_context.span_id());
    assert_eq!(root.instrumentation_scope.name(), "mine");
    assert_eq!(named(&spans, "child").parent_span_id, root_context.span_id());
}

#[test]
fn a_context_captured_on_another_thread_writes_to_the_open_span_and_not_after() {
    pipeline();
    let mut span = Span::idle(site!("captured"));
    enter(&mut span);
    let id = trace();
    let cx = Context::current();
    let elsewhere = cx.clone();
    std::thread::spawn(move || elsewhere.span().set_attribute(KeyValue::new("elsewhere", 1))).join().unwrap();
    assert!(cx.span().is_recording());
    drop(span);
    assert!(!cx.span().is_recording());
    cx.span().set_attribute(KeyValue::new("late", 1));

    let spans = spans_of(&id);
    assert_eq!(attribute(named(&spans, "captured"), "elsewhere"), Some(1.into()));
    assert_eq!(attribute(named(&spans, "captured"), "late"), None);
}

#[test]
fn a_span_inside_map_current_is_recorded_and_its_host_lives() {
    pipeline();
    let mut id = None;
    Context::map_current(|_| {
        let mut span = Span::idle(site!("inside"));
        enter(&mut span);
        id = crate::trace_id();
    });
    assert_eq!(spans_of(&id.unwrap()).len(), 1);
}

#[test]
fn many_threads_lose_nothing() {
    pipeline();
    let before = EXPORTED.lock().unwrap().iter().filter(|span| span.name == "many").count();
    let threads: Vec<_> = (0..8)
        .map(|_| {
            std::thread::spawn(|| {
                for _ in 0..1_000 {
                    let mut span = Span::idle(site!("many"));
                    enter(&mut span);
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let report = flush();
    assert_eq!(report.dropped.queue_full, 0, "{report}");
    let after = EXPORTED.lock().unwrap().iter().filter(|span| span.name == "many").count();
    assert_eq!(after - before, 8_000);
}
