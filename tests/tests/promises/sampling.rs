//! Samplers of the user's, and traces that are not sampled.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::task::{Context as TaskContext, Poll, Waker};
use std::thread;

use opentelemetry_sdk::trace::{SamplingDecision, SamplingResult, ShouldSample};
use throughline::opentelemetry::trace::{
    Link, SpanContext, SpanKind, TraceContextExt as _, TraceId, TraceState, Tracer as _,
};
use throughline::opentelemetry::{Context, KeyValue, global};
use throughline::{span, traced_span};

use super::alone::{FAR, alone, install, named, setup, value};

/// Decides by the name; notes what it was asked.
#[derive(Clone, Debug, Default)]
struct ByName(Arc<Mutex<Vec<String>>>);

impl ShouldSample for ByName {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        _: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let under = parent.is_some();
        let line =
            format!("{name} {kind:?} under={under} attributes={} links={}", attributes.len(), links.len());
        self.0.lock().expect("no panic").push(line);
        let decision = match name {
            "dropped" => SamplingDecision::Drop,
            "only_recorded" => SamplingDecision::RecordOnly,
            _ => SamplingDecision::RecordAndSample,
        };
        SamplingResult {
            decision,
            attributes: vec![KeyValue::new("sampler.rule", "by name")],
            trace_state: TraceState::from_key_value([("rule", "7")]).expect("valid"),
        }
    }
}

fn current() -> SpanContext {
    Context::current().span().span_context().clone()
}

#[traced_span("sampled", kind = server, fields(id))]
fn sampled(id: i64) -> SpanContext {
    let _ = id;
    assert!(Context::current().span().is_recording());
    current()
}

#[traced_span("dropped")]
fn dropped() -> SpanContext {
    assert!(!Context::current().span().is_recording());
    current()
}

#[traced_span("only_recorded", fields(id))]
fn only_recorded(id: i64) -> SpanContext {
    let _ = id;
    assert!(Context::current().span().is_recording());
    throughline::set_attribute("written", 1);
    current()
}

#[traced_span("only_recorded", leaf)]
fn only_recorded_leaf() {}

#[traced_span("later")]
async fn later() -> SpanContext {
    current()
}

fn ready<F: Future>(future: F) -> F::Output {
    match std::pin::pin!(future).poll(&mut TaskContext::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it does not wait"),
    }
}

/// Every way to begin something inside a span. What it sees of its trace goes to `seen`.
fn all_inside(seen: &Seen) {
    seen.note();
    inside(seen);
    inside_leaf(seen);
    inside_with_options(seen);
    ready(inside_async(seen));
    span!("inside", || seen.note());
    ready(span!("inside", async { seen.note() }));
    global::tracer("theirs").in_span("inside", |_| {
        seen.note();
        inside(seen);
    });
    let (cx, elsewhere) = (span::current::context(), seen.clone());
    thread::spawn(move || {
        let _attached = cx.attach();
        inside(&elsewhere);
    })
    .join()
    .expect("no panic");
    // As a spawned task: made here, polled elsewhere.
    let elsewhere = seen.clone();
    let task = span!("inside", async move {
        elsewhere.note();
        inside(&elsewhere);
    });
    thread::spawn(move || ready(task)).join().expect("no panic");
    // As a message: its consumer names the parent.
    let mut headers: Vec<(String, Vec<u8>)> = Vec::new();
    throughline::inject_trace_context(&mut headers);
    let elsewhere = seen.clone();
    thread::spawn(move || consume(&throughline::extract_trace_context(&headers), &elsewhere))
        .join()
        .expect("no panic");
}

#[traced_span("inside")]
fn inside(seen: &Seen) {
    seen.note();
}

#[traced_span("inside", leaf)]
fn inside_leaf(seen: &Seen) {
    seen.note();
    inside(seen);
    global::tracer("theirs").in_span("inside", |_| seen.note());
}

#[traced_span("inside", kind = producer, links = [SpanContext::NONE], scope = "other")]
fn inside_with_options(seen: &Seen) {
    seen.note();
    inside(seen);
}

#[traced_span("inside", fields(number = 1))]
async fn inside_async(seen: &Seen) {
    seen.note();
    inside(seen);
}

#[traced_span("inside", parent = cx, kind = consumer)]
fn consume(cx: &Context, seen: &Seen) {
    seen.note();
    inside(seen);
    ready(inside_async(seen));
}

#[traced_span("outer")]
fn outer(seen: &Seen) {
    all_inside(seen);
}

#[traced_span("outer", leaf)]
fn outer_leaf(seen: &Seen) {
    all_inside(seen);
}

#[traced_span("outer", root)]
fn outer_with_options(seen: &Seen) {
    all_inside(seen);
}

#[traced_span("outer")]
async fn outer_async(seen: &Seen) {
    all_inside(seen);
}

#[traced_span("outer", leaf)]
async fn outer_leaf_async(seen: &Seen) {
    all_inside(seen);
}

/// The trace ids that were current, and whether those were sampled.
#[derive(Clone, Debug, Default)]
struct Seen(Arc<Mutex<Vec<(TraceId, bool)>>>);

impl Seen {
    fn note(&self) {
        let cx = span::current::span_context();
        self.0.lock().expect("no panic").push((cx.trace_id(), cx.is_sampled()));
    }

    /// The trace of the outermost span.
    fn first(&self) -> (TraceId, bool) {
        self.0.lock().expect("no panic")[0]
    }

    /// The one trace that everything inside saw.
    fn only(&self) -> (TraceId, bool) {
        let mut seen = self.0.lock().expect("no panic").clone();
        assert!(seen.len() > 15);
        seen.dedup();
        assert_eq!(seen.len(), 1, "all of it is one trace: {seen:?}");
        seen[0]
    }
}

alone! {
    fn custom_sampler_decides_adds_attributes_and_tracestate() {
        let asked = ByName::default();
        let (telemetry, kept) = install(setup().sampler(asked.clone()));
        let inside_sampled = sampled(1);
        assert!(inside_sampled.is_sampled());
        assert_eq!(inside_sampled.trace_state().get("rule"), Some("7"));
        let inside_dropped = dropped();
        assert!(inside_dropped.is_valid() && !inside_dropped.is_sampled());
        let inside_recorded = only_recorded(1);
        assert!(inside_recorded.is_valid() && !inside_recorded.is_sampled());
        only_recorded_leaf();
        let inside_later = ready(later());
        let report = telemetry.flush(FAR);
        assert!(report.is_complete(), "{report}");
        assert_eq!((report.ended, report.unfinished), (2, 0), "recorded only is not for export: {report}");
        let spans = kept.spans();
        assert_eq!(spans.len(), 2);
        let span = named(&spans, "sampled");
        assert_eq!(value(span, "sampler.rule"), Some("by name".into()));
        assert_eq!(value(span, "id"), Some(1.into()));
        assert_eq!(span.span_context, inside_sampled);
        assert_eq!(named(&spans, "later").span_context, inside_later);
        let asked = asked.0.lock().expect("no panic");
        assert_eq!(asked[0], "sampled Server under=false attributes=0 links=0");
    }

    fn custom_sampler_is_asked_with_parent_and_links() {
        let asked = ByName::default();
        let (telemetry, kept) = install(setup().sampler(asked.clone()));
        let parent = sampled(1);
        let linked = vec![Link::new(parent.clone(), vec![], 0)];
        let inner = {
            let _outer = span!("outer");
            let _inner = span!("inner", parent = &parent, links = linked);
            current()
        };
        assert_eq!(inner.trace_id(), parent.trace_id());
        assert!(telemetry.flush(FAR).is_complete());
        assert_eq!(named(&kept.spans(), "inner").parent_span_id, parent.span_id());
        let asked = asked.0.lock().expect("no panic");
        assert_eq!(asked[2], "inner Internal under=true attributes=0 links=1");
    }

    /// For metrics of spans: recorded, given to the user's processors, never exported.
    fn span_that_is_only_recorded_reaches_the_processors() {
        let seen = super::processors::Notes::default();
        let (telemetry, kept) = install(setup().sampler(ByName::default()).span_processor(seen.clone()));
        only_recorded(1);
        only_recorded_leaf();
        dropped();
        let report = telemetry.flush(FAR);
        assert!(report.is_complete(), "{report}");
        assert!(kept.spans().is_empty());
        assert_eq!(seen.all(), ["end only_recorded", "end only_recorded", "flush"]);
    }

    fn nothing_inside_an_unsampled_trace_is_sampled() {
        let (telemetry, kept) = install(setup().sample_ratio(0.5));
        let shapes: [fn(&Seen); 5] = [
            outer,
            outer_leaf,
            outer_with_options,
            |seen| ready(outer_async(seen)),
            |seen| ready(outer_leaf_async(seen)),
        ];
        let mut rounds = 0;
        let (mut sampled, mut unsampled) = (0, 0);
        while sampled < 20 || unsampled < 20 {
            let seen = Seen::default();
            shapes[rounds % shapes.len()](&seen);
            rounds += 1;
            let (trace, is_sampled) = seen.first();
            let report = telemetry.flush(FAR);
            assert!(report.is_complete(), "{report}");
            if is_sampled {
                sampled += 1;
                assert!(kept.trace(trace).len() > 10);
            } else {
                unsampled += 1;
                assert_eq!(seen.only(), (trace, false));
                assert!(kept.trace(trace).is_empty());
            }
        }
        assert_eq!(kept.spans().iter().filter(|span| span.name == "outer").count(), sampled);
    }

    fn unsampled_parent_from_elsewhere_keeps_its_trace_unsampled() {
        let (telemetry, kept) = install(setup());
        let header = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00".to_vec();
        let remote = throughline::extract_trace_context(&vec![("traceparent".to_owned(), header)]);
        let seen = Seen::default();
        consume(&remote, &seen);
        span!("inside", parent = &remote, || all_inside(&seen));
        ready(span!("inside", parent = &remote, async { all_inside(&seen) }));
        {
            let _attached = remote.clone().attach();
            all_inside(&seen);
        }
        assert_eq!(seen.only(), (remote.span().span_context().trace_id(), false));
        let report = telemetry.flush(FAR);
        assert_eq!((report.ended, report.unfinished), (0, 0), "{report}");
        assert!(kept.spans().is_empty());
    }
}
