//! The exporter `database`, from set-up to rows.

use std::time::{Duration, Instant};

use opentelemetry::KeyValue;
use opentelemetry::trace::{Span as _, Tracer as _, TracerProvider as _};
use throughline::store::{self, Filter, Page, StoreOptions};
use throughline::{Exporter, Setup, SetupError, Telemetry};
use throughline_tests::peers::OwnPostgres;
use tokio::runtime::Builder;

use crate::support::{Fixture, Folder};

crate::on_both!(spans_of_the_program_are_stored_at_flush);

fn set_up(variables: &[(&str, &str)]) -> Result<Telemetry, SetupError> {
    Setup::new("planner").environment(variables.iter().copied()).local()
}

async fn spans_of_the_program_are_stored_at_flush(f: Fixture) {
    let telemetry = set_up(&[
        ("TRACING_EXPORTER", "database"),
        ("THROUGHLINE_DATABASE_URL", &f.url),
        ("THROUGHLINE_LIFT", "agent_id=worker"),
    ])
    .unwrap();
    let tracer = telemetry.provider().unwrap().tracer("checkout");
    let mut span = tracer.start("planning.generate_plan");
    span.set_attribute(KeyValue::new("task_id", "t-17"));
    span.set_attribute(KeyValue::new("worker", 5));
    span.add_event("tried", vec![KeyValue::new("attempt", 2)]);
    span.end();
    let report =
        tokio::task::spawn_blocking(move || telemetry.shutdown(Duration::from_secs(20))).await.unwrap();
    assert!(report.is_complete(), "{report}");
    let list = f.store.list(Filter::new().task_id("t-17").agent_id("5"), Page::first(9)).await.unwrap();
    let head = list.traces[0].head.as_ref().unwrap();
    assert_eq!(
        (head.service_name.as_str(), head.operation_name.as_str()),
        ("planner", "planning.generate_plan")
    );
    assert!(head.events_json.contains("tried"));
    assert!(head.resource.resource_json.contains("planner") && head.resource.scope_json.contains("checkout"));
}

#[test]
fn url_that_names_no_store_is_an_error_without_the_password() {
    let error =
        set_up(&[("TRACING_EXPORTER", "database"), ("THROUGHLINE_DATABASE_URL", "mysql://me:secret@db/x")]);
    let text = error.map(|_| ()).unwrap_err().to_string();
    assert!(
        text.starts_with("THROUGHLINE_DATABASE_URL is `mysql://REDACTED@db/x`; expected `postgres://"),
        "{text}"
    );
    assert!(!text.contains("secret"));
}

#[test]
fn effective_settings_tell_the_store_and_no_password() {
    let config = Setup::new("s")
        .exporters([Exporter::Database])
        .environment([
            ("THROUGHLINE_DATABASE_URL", "postgres://me:secret@db/x"),
            ("THROUGHLINE_RETENTION", "4w"),
            ("THROUGHLINE_PARTITION", "week"),
        ])
        .effective_config()
        .unwrap();
    assert_eq!(config.get("database.url").unwrap().value, "postgres://REDACTED@db/x");
    assert_eq!(config.get("database.retention").unwrap().value, "28d");
    assert_eq!(config.get("database.partition").unwrap().value, "month");
    assert_eq!(config.warnings().len(), 1, "{:?}", config.warnings());
    assert!(!config.to_string().contains("secret"));
}

// issue 5: no span lost or doubled when the database is stopped under 5k spans/s; the long form has 30 s.
#[test]
fn no_span_is_lost_or_doubled_when_the_database_stops_in_mid_stream() {
    let Some(mut server) = OwnPostgres::start() else { return };
    let url = server.address().to_owned();
    let away = std::env::var("THROUGHLINE_TEST_OUTAGE_S").ok().and_then(|s| s.parse().ok()).unwrap_or(3);
    let away = Duration::from_secs(away);
    let telemetry = set_up(&[
        ("TRACING_EXPORTER", "database"),
        ("THROUGHLINE_DATABASE_URL", &url),
        ("THROUGHLINE_QUEUE_BYTES", "1GiB"),
        ("OTEL_BSP_EXPORT_TIMEOUT", "600000"),
    ])
    .unwrap();
    let tracer = telemetry.provider().unwrap().tracer("load");
    // 5,000 spans a second, before, during and after the outage.
    let made = std::thread::spawn(move || {
        let (begin, lasts) = (Instant::now(), away + Duration::from_secs(4));
        let mut made = 0_u64;
        while begin.elapsed() < lasts {
            let due = u64::try_from(begin.elapsed().as_millis()).unwrap() * 5;
            while made < due {
                made += 1;
                let mut span = tracer.start("load.step");
                span.set_attribute(KeyValue::new("n", i64::try_from(made).unwrap()));
                span.end();
            }
            std::thread::park_timeout(Duration::from_millis(5));
        }
        made
    });
    // In mid stream: when some spans have come.
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let count = |url: &str| {
        let store = store::open(StoreOptions::new(url)).unwrap();
        runtime.block_on(store.list(Filter::new(), Page::first(1))).map_or(0, |list| list.total.unwrap())
    };
    while count(&url) == 0 {
        std::thread::yield_now();
    }
    server.kill();
    let died = Instant::now();
    while died.elapsed() < away {
        std::thread::park_timeout(away);
    }
    server.restart();
    let made = made.join().unwrap();
    let report = telemetry.shutdown(Duration::from_secs(120));
    assert!(report.is_complete(), "{report}");
    let store = store::open(StoreOptions::new(&url)).unwrap();
    let stats = runtime.block_on(store.stats(Filter::new().service("planner"), None)).unwrap();
    assert_eq!((stats.all.count, stats.traces), (made, made), "each once");
    let counted: u64 = runtime.block_on(async {
        let client = crate::support::connect(&url).await;
        let row = client.query_one("select sum(span_count)::int8 from trace_summaries", &[]).await.unwrap();
        u64::try_from(row.get::<_, i64>(0)).unwrap()
    });
    assert_eq!(counted, made, "and so say the summaries");
}

#[test]
fn file_of_the_default_store_is_made_where_the_url_says() {
    let folder = Folder::new();
    let telemetry =
        set_up(&[("TRACING_EXPORTER", "database"), ("THROUGHLINE_DATABASE_URL", &folder.url())]).unwrap();
    telemetry.provider().unwrap().tracer("t").start("one").end();
    assert!(telemetry.shutdown(Duration::from_secs(20)).is_complete());
    assert!(folder.0.join("traces.db").is_file());
}
