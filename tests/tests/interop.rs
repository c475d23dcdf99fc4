//! Spans of the plain OpenTelemetry API, of `tracing`, and of annotated functions nest in each other, in every order and
//! on every thread, because all read and set one thing: OpenTelemetry's `Context`.

use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::{
    FutureExt as _, Span as _, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceFlags,
    TraceId, TraceState, Tracer as _,
};
use opentelemetry::{Context, KeyValue, Value, global};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{IdGenerator as _, RandomIdGenerator, SpanData, SpanProcessor};
use throughline::export::memory::MemoryExporter;
use throughline::{Setup, Telemetry, span, traced_span};
use tracing::Instrument as _;

/// A processor as a user may have one; it keeps the names of the spans that ended.
#[derive(Debug, Clone, Default)]
struct Names(Arc<Mutex<Vec<(TraceId, String)>>>);

impl SpanProcessor for Names {
    fn on_start(&self, _: &mut opentelemetry_sdk::trace::Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        let mut names = self.0.lock().expect("no panic");
        names.push((span.span_context.trace_id(), span.name.into_owned()));
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }

    fn set_resource(&mut self, _: &Resource) {}
}

struct Installed {
    telemetry: Telemetry,
    kept: MemoryExporter,
    names: Names,
}

fn installed() -> &'static Installed {
    static INSTALLED: OnceLock<Installed> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        let (kept, names) = (MemoryExporter::with_traces(10_000), Names::default());
        let setup = Setup::new("interop").without_environment();
        let setup = setup.exporter(kept.clone()).span_processor(names.clone());
        Installed { telemetry: setup.install().expect("set-up"), kept, names }
    })
}

/// Runs `body` in a trace of its own and gives its spans.
fn trace_of(body: impl FnOnce()) -> Trace {
    let installed = installed();
    let ids = RandomIdGenerator::default();
    let remote =
        |flags| SpanContext::new(ids.new_trace_id(), ids.new_span_id(), flags, true, TraceState::NONE);
    let parent = remote(TraceFlags::SAMPLED);
    let trace = parent.trace_id();
    let guard = Context::new().with_remote_span_context(parent).attach();
    body();
    drop(guard);
    let _ = installed.telemetry.flush(Duration::from_secs(20));
    Trace { spans: installed.kept.trace(trace), trace }
}

struct Trace {
    spans: Vec<SpanData>,
    trace: TraceId,
}

impl Trace {
    fn span(&self, name: &str) -> &SpanData {
        let mut found = self.spans.iter().filter(|span| span.name == name);
        let span = found.next().unwrap_or_else(|| panic!("no span {name} in {:?}", self.names()));
        assert!(found.next().is_none(), "{name} twice");
        span
    }

    fn names(&self) -> Vec<&str> {
        self.spans.iter().map(|span| span.name.as_ref()).collect()
    }

    /// Checks that each is the parent of the next, and that there is nothing else.
    fn assert_chain(&self, chain: &[&str]) {
        assert_eq!(self.spans.len(), chain.len(), "{:?}", self.names());
        for pair in chain.windows(2) {
            let (parent, child) = (self.span(pair[0]), self.span(pair[1]));
            assert_eq!(child.parent_span_id, parent.span_context.span_id(), "{} under {}", pair[1], pair[0]);
        }
    }
}

fn attribute(span: &SpanData, key: &str) -> Option<Value> {
    span.attributes
        .iter()
        .find(|attribute| attribute.key.as_str() == key)
        .map(|attribute| attribute.value.clone())
}

#[traced_span("ours")]
fn ours<R>(inside: impl FnOnce() -> R) -> R {
    inside()
}

#[traced_span("ours.too")]
fn ours_too<R>(inside: impl FnOnce() -> R) -> R {
    inside()
}

fn theirs<R>(inside: impl FnOnce() -> R) -> R {
    global::tracer("theirs").in_span("theirs", |_| inside())
}

fn bridged<R>(inside: impl FnOnce() -> R) -> R {
    tracing::info_span!("bridged").in_scope(inside)
}

// otel-rust#153 #1571 #1689 #2420, tracing-opentelemetry#202: all three see one another's context.
#[test]
fn every_order_of_three_nests() {
    trace_of(|| ours(|| theirs(|| bridged(|| ())))).assert_chain(&["ours", "theirs", "bridged"]);
    trace_of(|| ours(|| bridged(|| theirs(|| ())))).assert_chain(&["ours", "bridged", "theirs"]);
    trace_of(|| theirs(|| ours(|| bridged(|| ())))).assert_chain(&["theirs", "ours", "bridged"]);
    trace_of(|| theirs(|| bridged(|| ours(|| ())))).assert_chain(&["theirs", "bridged", "ours"]);
    trace_of(|| bridged(|| ours(|| theirs(|| ())))).assert_chain(&["bridged", "ours", "theirs"]);
    trace_of(|| bridged(|| theirs(|| ours(|| ())))).assert_chain(&["bridged", "theirs", "ours"]);
}

#[test]
fn ours_resumes_after_a_foreign_span() {
    let trace = trace_of(|| {
        ours(|| {
            theirs(|| ());
            bridged(|| ());
            ours_too(|| ());
        });
    });
    let parent = trace.span("ours").span_context.span_id();
    for child in ["theirs", "bridged", "ours.too"] {
        assert_eq!(trace.span(child).parent_span_id, parent, "{child}");
    }
}

#[test]
fn context_captured_on_one_thread_is_the_parent_on_another() {
    let trace = trace_of(|| {
        ours(|| {
            let here = Context::current();
            let other = thread::spawn(move || {
                let _inside = here.attach();
                ours_too(|| ());
                theirs(|| ());
                bridged(|| ());
            });
            other.join().expect("no panic");
        });
    });
    let parent = trace.span("ours").span_context.span_id();
    for child in ["theirs", "bridged", "ours.too"] {
        assert_eq!(trace.span(child).parent_span_id, parent, "{child}");
    }
}

#[test]
fn context_captured_below_tracing_is_the_parent_of_ours_on_another_thread() {
    let trace = trace_of(|| {
        bridged(|| {
            let here = Context::current();
            let other = thread::spawn(move || {
                let _inside = here.attach();
                ours(|| ());
            });
            other.join().expect("no panic");
        });
    });
    trace.assert_chain(&["bridged", "ours"]);
}

#[test]
fn writes_through_the_context_reach_the_annotated_function_from_any_thread() {
    let trace = trace_of(|| {
        ours(|| {
            let cx = Context::current();
            assert!(cx.span().is_recording());
            cx.span().set_attribute(KeyValue::new("here", 1));
            cx.span().add_event("event", vec![]);
            let other = thread::spawn(move || {
                cx.span().set_attribute(KeyValue::new("there", 2));
                cx.span().set_status(Status::error("told from outside"));
                cx.span().update_name("renamed");
            });
            other.join().expect("no panic");
        });
    });
    let span = trace.span("renamed");
    assert_eq!((attribute(span, "here"), attribute(span, "there")), (Some(1.into()), Some(2.into())));
    assert_eq!(span.status, Status::error("told from outside"));
    assert_eq!(span.events.iter().next().map(|event| event.name.as_ref()), Some("event"));
}

#[test]
fn context_that_outlives_its_span_writes_nothing() {
    let trace = trace_of(|| {
        let cx = ours(Context::current);
        assert!(!cx.span().is_recording());
        cx.span().set_attribute(KeyValue::new("late", true));
        // And it does not reach the span that came after, either.
        ours_too(|| cx.span().set_attribute(KeyValue::new("late", true)));
    });
    assert_eq!(attribute(trace.span("ours"), "late"), None);
    assert_eq!(attribute(trace.span("ours.too"), "late"), None);
}

#[test]
fn functions_on_the_current_span_reach_foreign_spans() {
    let trace = trace_of(|| {
        ours(|| theirs(|| throughline::set_attribute("who", "theirs")));
        bridged(|| throughline::set_attribute("who", "bridged"));
    });
    assert_eq!(attribute(trace.span("theirs"), "who"), Some("theirs".into()));
    assert_eq!(attribute(trace.span("bridged"), "who"), Some("bridged".into()));
    assert_eq!(attribute(trace.span("ours"), "who"), None);
}

#[traced_span("ours.async")]
async fn ours_async() {
    tokio::task::yield_now().await;
    theirs(|| ());
    tokio::task::yield_now().await;
    async { tokio::task::yield_now().await }.instrument(tracing::info_span!("bridged")).await;
}

#[test]
fn async_functions_nest_across_awaits_and_workers() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("a runtime");
    let trace = trace_of(|| {
        let cx = Context::current();
        runtime.block_on(async {
            let task = async { ours_async().instrument(tracing::info_span!("task")).await };
            tokio::spawn(task.with_context(cx)).await.expect("no panic");
        });
    });
    let ours = trace.span("ours.async");
    assert_eq!(ours.parent_span_id, trace.span("task").span_context.span_id());
    for child in ["theirs", "bridged"] {
        assert_eq!(trace.span(child).parent_span_id, ours.span_context.span_id(), "{child}");
    }
}

#[test]
fn block_in_a_span_nests_like_a_function() {
    let trace = trace_of(|| {
        theirs(|| span!("block", || bridged(|| ())));
    });
    trace.assert_chain(&["theirs", "block", "bridged"]);
}

#[traced_span("leaf", leaf)]
fn leaf<R>(inside: impl FnOnce() -> R) -> R {
    inside()
}

#[test]
fn below_a_leaf_foreign_spans_name_the_nearest_ancestor_and_ours_the_leaf() {
    let trace = trace_of(|| {
        ours(|| {
            leaf(|| {
                theirs(|| ());
                ours_too(|| ());
            });
        });
    });
    assert_eq!(trace.span("leaf").parent_span_id, trace.span("ours").span_context.span_id());
    assert_eq!(trace.span("theirs").parent_span_id, trace.span("ours").span_context.span_id());
    assert_eq!(trace.span("ours.too").parent_span_id, trace.span("leaf").span_context.span_id());
}

#[test]
fn baggage_stays_inside_all_of_them() {
    let trace = trace_of(|| {
        let cx = Context::current_with_baggage([KeyValue::new("tenant", "acme")]);
        let _inside = cx.attach();
        let read = || Context::current().baggage().get("tenant").map(ToString::to_string);
        assert_eq!(ours(|| bridged(|| theirs(|| ours_too(read)))), Some("acme".to_owned()));
    });
    assert_eq!(trace.spans.len(), 4);
}

#[test]
fn unsampled_parent_records_nothing_of_anybody() {
    let ids = RandomIdGenerator::default();
    let trace = trace_of(|| {
        let current = Context::current();
        let trace = current.span().span_context().trace_id();
        let off = SpanContext::new(trace, ids.new_span_id(), TraceFlags::NOT_SAMPLED, true, TraceState::NONE);
        let _inside = current.with_remote_span_context(off).attach();
        ours(|| theirs(|| bridged(|| ours_too(|| ()))));
    });
    assert_eq!(trace.names(), [""; 0]);
}

#[test]
fn suppressed_scope_suppresses_ours_too() {
    let trace = trace_of(|| {
        let _suppressed = Context::enter_telemetry_suppressed_scope();
        ours(|| theirs(|| ()));
    });
    assert_eq!(trace.names(), [""; 0]);
}

#[test]
fn scopes_tell_who_made_a_span() {
    let trace = trace_of(|| ours(|| theirs(|| bridged(|| ()))));
    let scope = |name: &str| trace.span(name).instrumentation_scope.name().to_owned();
    assert_eq!(scope("ours"), env!("CARGO_PKG_NAME"));
    assert_eq!(scope("theirs"), "theirs");
    assert_eq!(scope("bridged"), "tracing");
}

#[test]
fn span_processors_of_the_user_see_every_span() {
    let trace = trace_of(|| ours(|| theirs(|| bridged(|| ()))));
    let names = installed().names.0.lock().expect("no panic");
    let mut seen: Vec<&str> =
        names.iter().filter(|(id, _)| *id == trace.trace).map(|(_, name)| name.as_str()).collect();
    seen.sort_unstable();
    assert_eq!(seen, ["bridged", "ours", "theirs"]);
}

#[test]
fn kinds_events_and_links_of_foreign_spans_arrive_as_they_were() {
    let link = SpanContext::new(
        TraceId::from(1_u128),
        SpanId::from(2_u64),
        TraceFlags::SAMPLED,
        true,
        TraceState::NONE,
    );
    let trace = trace_of(|| {
        let tracer = global::tracer("theirs");
        let builder = tracer.span_builder("call").with_kind(SpanKind::Client);
        let mut span =
            tracer.build(builder.with_links(vec![opentelemetry::trace::Link::new(link.clone(), vec![], 0)]));
        span.add_event("retry", vec![KeyValue::new("attempt", 2)]);
        span.set_status(Status::error("timeout"));
        span.end();
    });
    let span = trace.span("call");
    assert_eq!(span.span_kind, SpanKind::Client);
    assert_eq!(span.status, Status::error("timeout"));
    assert_eq!(span.links.iter().next().map(|link| link.span_context.clone()), Some(link));
    assert_eq!(
        span.events.iter().next().map(|event| event.attributes.clone()),
        Some(vec![KeyValue::new("attempt", 2)])
    );
}
