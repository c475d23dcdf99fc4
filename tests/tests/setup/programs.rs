//! Programs that the other tests run as processes: each sets up its own globals.

use std::time::Duration;

use opentelemetry::trace::{Span as _, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, global};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use throughline::{Setup, SetupError, Telemetry, setup_tracing, traced_span};

const SECONDS: Duration = Duration::from_secs(10);

#[traced_span("work")]
fn work() -> Option<String> {
    throughline::trace_id()
}

#[test]
#[ignore = "run by others"]
fn guard_is_dropped() {
    let _telemetry = setup_tracing("service").expect("set-up");
    work();
}

#[test]
#[ignore = "run by others"]
fn guard_is_dropped_at_once() {
    let _ = setup_tracing("service").expect("set-up");
}

#[test]
#[ignore = "run by others"]
fn second_setup() {
    assert!(Telemetry::current().is_none());
    let telemetry = setup_tracing("first").expect("set-up");
    assert!(matches!(setup_tracing("second"), Err(SetupError::AlreadyInstalled)));
    let handle = Telemetry::current().expect("a handle");
    assert_eq!(handle.service_name(), "first");
    drop(handle);
    work();
    assert!(telemetry.is_enabled(), "a handle shuts nothing down");
    assert!(telemetry.shutdown(SECONDS).is_complete());
    // Installed stays installed: the globals of OpenTelemetry cannot be taken back.
    assert!(matches!(setup_tracing("third"), Err(SetupError::AlreadyInstalled)));
}

#[test]
#[ignore = "run by others"]
fn eight_setups_at_once() {
    let barrier = std::sync::Barrier::new(8);
    let installed = std::thread::scope(|scope| {
        let attempts: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    barrier.wait();
                    setup_tracing("service")
                })
            })
            .collect();
        attempts.into_iter().filter_map(|attempt| attempt.join().expect("no panic").ok()).collect::<Vec<_>>()
    });
    assert_eq!(installed.len(), 1);
}

#[test]
#[ignore = "run by others"]
fn local_touches_nothing() {
    let kept = throughline::export::memory::MemoryExporter::new();
    let local = Setup::new("local").without_environment().exporter(kept.clone()).local().expect("set-up");
    assert!(Telemetry::current().is_none());
    assert!(work().is_none(), "annotated functions are not switched on");
    let mut foreign = global::tracer("x").start("foreign");
    foreign.end();
    let provider = local.provider().expect("enabled");
    opentelemetry::trace::TracerProvider::tracer(&provider, "x").start("mine").end();
    assert!(local.shutdown(SECONDS).is_complete());
    let names: Vec<_> = kept.spans().into_iter().map(|span| span.name).collect();
    assert_eq!(names, ["mine"]);
    // And the process can still be set up.
    assert!(setup_tracing("service").is_ok());
}

#[test]
#[ignore = "run by others"]
fn only_opentelemetry() {
    let _telemetry = setup_tracing("service").expect("set-up");
    let tracer = global::tracer("old.code");
    tracer.in_span("outer", |_| tracer.in_span("inner", |_| ()));
}

#[test]
#[ignore = "run by others"]
fn only_tracing() {
    let _telemetry = setup_tracing("service").expect("set-up");
    let outer = tracing::info_span!("outer", answer = 42);
    outer.in_scope(|| tracing::info_span!("inner").in_scope(|| ()));
}

#[test]
#[ignore = "run by others"]
fn own_subscriber_stays() {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let telemetry = setup_tracing("service").expect("set-up");
    let setting = telemetry.effective_config().get("tracing.subscriber").expect("a setting").clone();
    println!("\n{setting}");
    work();
}

#[test]
#[ignore = "run by others"]
fn own_layers() {
    use opentelemetry::trace::TracerProvider as _;
    use tracing_subscriber::layer::SubscriberExt as _;
    use tracing_subscriber::util::SubscriberInitExt as _;
    let telemetry = Setup::new("service").subscriber(false).install().expect("set-up");
    let tracer = telemetry.provider().expect("enabled").tracer("mine");
    let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(std::io::stderr);
    let lines = lines.event_format(throughline::log::TraceIds::text(tracing_subscriber::fmt::format()));
    let spans = tracing_opentelemetry::layer().with_tracer(tracer);
    tracing_subscriber::registry().with(spans).with(lines).try_init().expect("nobody else has installed one");
    tracing::info_span!("bridged").in_scope(ours);
}

#[test]
#[ignore = "run by others"]
fn log_lines() {
    let _telemetry = setup_tracing("service").expect("set-up");
    tracing::info!("outside");
    ours();
    let tracer = global::tracer("old.code");
    tracer.in_span("theirs", |_| tracing::info!("in theirs"));
    tracing::info_span!("bridged").in_scope(|| tracing::info!("in bridged"));
    remote_unsampled();
}

#[traced_span("ours")]
fn ours() {
    tracing::info!("in ours");
}

fn remote_unsampled() {
    let value = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00".to_vec();
    let headers = vec![("traceparent".to_owned(), value)];
    let _inside = throughline::extract_trace_context(&headers).attach();
    unsampled();
}

#[traced_span("unsampled")]
fn unsampled() {
    tracing::info!("in unsampled");
}

#[test]
#[ignore = "run by others"]
fn switched_off() {
    let telemetry = setup_tracing("service").expect("set-up");
    assert!(!telemetry.is_enabled());
    assert!(telemetry.provider().is_none());
    assert!(work().is_none());
    // The neighbours' traces go on through us.
    let incoming: Vec<(String, Vec<u8>)> =
        vec![("traceparent".to_owned(), b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_vec())];
    let _inside = throughline::extract_trace_context(&incoming).attach();
    let mut outgoing: Vec<(String, Vec<u8>)> = Vec::new();
    throughline::inject_trace_context(&mut outgoing);
    assert_eq!(outgoing, incoming);
    for thread in threads() {
        assert!(!thread.starts_with("throughline"), "{thread}");
    }
    let report = telemetry.shutdown(SECONDS);
    assert!(report.is_complete());
    assert_eq!(report.ended, 0);
}

/// The names of this process's threads, as far as the system tells.
fn threads() -> Vec<String> {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else { return Vec::new() };
    tasks
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok())
        .map(|name| name.trim().to_owned())
        .collect()
}

#[test]
#[ignore = "run by others"]
fn exporter_none() {
    let telemetry = setup_tracing("service").expect("set-up");
    let mut headers: Vec<(String, Vec<u8>)> = Vec::new();
    #[traced_span("work")]
    fn inject(headers: &mut Vec<(String, Vec<u8>)>) {
        throughline::inject_trace_context(headers);
    }
    inject(&mut headers);
    let header = String::from_utf8(headers.first().expect("a header").1.clone()).expect("text");
    assert!(header.starts_with("00-") && header.ends_with("-01"), "{header}");
    assert!(telemetry.shutdown(SECONDS).is_complete());
}

#[test]
#[ignore = "run by others"]
fn no_runtime() {
    let telemetry = setup_tracing("service").expect("set-up");
    work();
    let report = telemetry.shutdown(SECONDS);
    assert!(report.is_complete(), "{report}");
}

#[tokio::test(flavor = "current_thread")]
#[ignore = "run by others"]
async fn current_thread() {
    let telemetry = setup_tracing("service").expect("set-up");
    work();
    let report = telemetry.shutdown_async(SECONDS).await;
    assert!(report.is_complete(), "{report}");
}

/// Blocks the only thread of the runtime: nothing may wait for it.
#[tokio::test(flavor = "current_thread")]
#[ignore = "run by others"]
async fn current_thread_blocked() {
    let telemetry = setup_tracing("service").expect("set-up");
    work();
    let report = telemetry.shutdown(SECONDS);
    assert!(report.is_complete(), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
#[ignore = "run by others"]
async fn one_worker() {
    let telemetry = setup_tracing("service").expect("set-up");
    tokio::spawn(async { work() }).await.expect("no panic");
    let report = telemetry.shutdown_async(SECONDS).await;
    assert!(report.is_complete(), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
#[ignore = "run by others"]
async fn one_worker_dropped() {
    let telemetry = setup_tracing("service").expect("set-up");
    tokio::spawn(async move {
        work();
        drop(telemetry);
    })
    .await
    .expect("no panic");
}

/// The runtime that set-up ran in is gone before the guard.
#[test]
#[ignore = "run by others"]
fn runtime_ends_first() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let telemetry = runtime.block_on(async {
        let telemetry = setup_tracing("service").expect("set-up");
        work();
        telemetry
    });
    drop(runtime);
    let report = telemetry.shutdown(SECONDS);
    assert!(report.is_complete(), "{report}");
}

#[test]
#[ignore = "run by others"]
fn shutdown_twice() {
    let telemetry = setup_tracing("service").expect("set-up");
    work();
    let first = telemetry.shutdown(SECONDS);
    let second = telemetry.shutdown(SECONDS);
    assert_eq!(first.ended, 1);
    assert_eq!(second.ended, 1);
    assert!(work().is_none(), "recording has ended");
    assert!(!telemetry.is_enabled());
}

#[test]
#[ignore = "run by others"]
fn flush_keeps_going() {
    let telemetry = setup_tracing("service").expect("set-up");
    work();
    assert_eq!(telemetry.flush(SECONDS).collected, 1);
    work();
    assert_eq!(telemetry.flush(SECONDS).collected, 2);
    assert_eq!(telemetry.health().state, throughline::HealthState::Ok);
    // No guard runs: what was flushed is out all the same.
    std::mem::forget(telemetry);
}

#[test]
#[ignore = "run by others"]
fn panics_with_hook() {
    let _telemetry = Setup::new("service").panic_hook(true).install().expect("set-up");
    #[traced_span("breaks")]
    fn breaks() {
        panic!("out of paper");
    }
    assert!(std::panic::catch_unwind(breaks).is_err());
}

/// Waits for the signal that ends it, and says when it is ready for one.
#[test]
#[ignore = "run by others"]
fn flushes_on_signal() {
    let telemetry =
        Setup::new("service").schedule_delay(Duration::from_secs(600)).flush_on_signal(true).install();
    let telemetry = telemetry.expect("set-up");
    work();
    println!("\nready");
    std::mem::forget(telemetry);
    loop {
        std::thread::park();
    }
}

/// Ends by itself when the signal comes.
#[test]
#[ignore = "run by others"]
fn waits_for_signal() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let _telemetry = setup_tracing("service").expect("set-up");
    runtime.block_on(async {
        let mut signal = std::pin::pin!(throughline::shutdown_signal());
        let waiting = futures_util::poll!(signal.as_mut());
        assert!(waiting.is_pending());
        work();
        println!("\nready");
        signal.await;
    });
    println!("\nended gracefully");
}

#[test]
#[ignore = "run by others"]
fn sampled_by_variable() {
    let _telemetry = Setup::new("service").sample_ratio(1.0).install().expect("set-up");
    work();
    let cx = Context::current();
    assert!(!cx.span().span_context().is_valid());
}

/// Takes the first batch and never comes back.
#[derive(Debug)]
struct Hanging;

impl SpanExporter for Hanging {
    async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
        loop {
            std::thread::park();
        }
    }
}

fn hanging() -> Telemetry {
    let setup = Setup::new("service").exporters([throughline::Exporter::Console]).exporter(Hanging);
    let telemetry = setup.shutdown_timeout(Duration::from_millis(200)).install().expect("set-up");
    work();
    telemetry
}

fn assert_one_is_missing(report: &throughline::Report) {
    assert!(!report.is_complete() && !report.deadline_met, "{report}");
    let missing: Vec<_> = report.exporters.iter().map(|exporter| exporter.undelivered).collect();
    assert_eq!(missing, [0, 1], "{report}");
}

#[test]
#[ignore = "run by others"]
fn hanging_exporter() {
    assert_one_is_missing(&hanging().shutdown(Duration::from_millis(200)));
}

#[tokio::test(flavor = "current_thread")]
#[ignore = "run by others"]
async fn hanging_exporter_current_thread() {
    assert_one_is_missing(&hanging().shutdown_async(Duration::from_millis(200)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
#[ignore = "run by others"]
async fn hanging_exporter_one_worker() {
    let ended = tokio::spawn(async { hanging().shutdown_async(Duration::from_millis(200)).await });
    assert_one_is_missing(&ended.await.expect("no panic"));
}

#[test]
#[ignore = "run by others"]
fn hanging_exporter_dropped() {
    drop(hanging());
}

/// Hears the first signal and then takes its time.
#[test]
#[ignore = "run by others"]
fn ends_slowly() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let mut signal = std::pin::pin!(throughline::shutdown_signal());
        assert!(futures_util::poll!(signal.as_mut()).is_pending());
        println!("\nready");
        signal.await;
        println!("\nready for another");
    });
    loop {
        std::thread::park();
    }
}

/// Waited for a signal once and does so no more.
#[test]
#[ignore = "run by others"]
fn waits_no_more() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let mut signal = Box::pin(throughline::shutdown_signal());
        assert!(futures_util::poll!(signal.as_mut()).is_pending());
    });
    println!("\nready");
    loop {
        std::thread::park();
    }
}
