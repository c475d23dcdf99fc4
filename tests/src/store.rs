//! Stores of a test's own, and spans to fill them with.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use crate::peers;
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use throughline::store::{self, Converter, Lift, Store, StoreOptions, StoredSpan};
use tokio::runtime::Builder;

/// An empty store of the test's own.
#[derive(Clone, Debug)]
pub struct Fixture {
    /// What the store was opened with.
    pub url: String,
    /// The store.
    pub store: Arc<dyn Store>,
}

impl Fixture {
    /// The same database once more, as another process would open it.
    ///
    /// # Panics
    ///
    /// Where the store refuses the options.
    pub fn open(&self, change: impl FnOnce(StoreOptions) -> StoreOptions) -> Arc<dyn Store> {
        store::open(change(StoreOptions::new(&self.url))).unwrap()
    }

    /// Whether it is the PostgreSQL half.
    #[must_use]
    pub fn is_postgres(&self) -> bool {
        self.url.starts_with("postgres")
    }

    /// Runs statements beside the store.
    ///
    /// # Panics
    ///
    /// Where the database refuses.
    pub async fn execute(&self, sql: &str) {
        if self.is_postgres() {
            connect(&self.url).await.batch_execute(sql).await.unwrap();
        } else {
            let connection = rusqlite::Connection::open(self.url.trim_start_matches("sqlite:")).unwrap();
            connection.execute_batch(sql).unwrap();
        }
    }
}

type Case = Pin<Box<dyn Future<Output = ()>>>;

fn block_on<F: Future>(future: F) -> F::Output {
    Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// A folder that goes away with this value.
#[derive(Debug)]
pub struct Folder(
    /// Where it is.
    pub PathBuf,
);

impl Folder {
    /// A new one.
    ///
    /// # Panics
    ///
    /// Where there can be none.
    #[allow(clippy::new_without_default)] // it touches the disk
    #[must_use]
    pub fn new() -> Self {
        let path =
            std::env::temp_dir().join(format!("throughline-store-{}-{}", std::process::id(), number()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// The URL of a store in it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("sqlite:{}", self.0.join("traces.db").display())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs a case with a file of its own.
///
/// # Panics
///
/// As the case does.
pub fn on_sqlite(case: impl FnOnce(Fixture) -> Case) {
    let folder = Folder::new();
    let url = folder.url();
    let store = store::open(StoreOptions::new(&url)).unwrap();
    block_on(case(Fixture { url, store }));
}

/// Runs a case with a database of its own on the server that the run was given.
///
/// # Panics
///
/// As the case does.
pub fn on_postgres(case: impl FnOnce(Fixture) -> Case) {
    let Some(server) = peers::postgres() else {
        peers::skip("PostgreSQL", "postgres");
        return;
    };
    let name = format!("throughline_{}_{}", std::process::id(), number());
    let url = in_database(&server, &name);
    block_on(async {
        let server = connect(&server).await;
        server.batch_execute(&format!("create database {name}")).await.unwrap();
        let store = store::open(StoreOptions::new(&url)).unwrap();
        let local = tokio::task::LocalSet::new();
        let case = tokio::task::LocalSet::spawn_local(&local, case(Fixture { url, store }));
        let failed = local.run_until(case).await.err();
        server.batch_execute(&format!("drop database {name} with (force)")).await.unwrap();
        if let Some(error) = failed {
            std::panic::resume_unwind(error.into_panic());
        }
    });
}

fn in_database(server: &str, name: &str) -> String {
    let (base, _) = server.rsplit_once('/').expect("a URL with a database");
    format!("{base}/{name}")
}

/// A connection beside the store.
///
/// # Panics
///
/// Where there is no such server.
pub async fn connect(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

fn number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// An hour ago, on a full second: within every retention, and the same for all spans of a test.
///
/// # Panics
///
/// Where the clock is before 1970.
#[must_use]
pub fn begin() -> SystemTime {
    static BEGIN: OnceLock<SystemTime> = OnceLock::new();
    *BEGIN.get_or_init(|| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        SystemTime::UNIX_EPOCH + Duration::from_secs(now - 3_600)
    })
}

/// Milliseconds.
#[must_use]
pub fn ms(number: u64) -> Duration {
    Duration::from_millis(number)
}

/// A span in the making.
#[derive(Clone, Debug)]
pub struct Make {
    /// The span.
    pub data: SpanData,
    /// Who makes it.
    pub service: String,
}

/// An internal span of `shop` that takes 1 ms.
#[must_use]
pub fn span(trace: u128, id: u64, parent: u64, start: SystemTime) -> Make {
    let data = SpanData {
        span_context: SpanContext::new(
            TraceId::from(trace),
            SpanId::from(id),
            TraceFlags::SAMPLED,
            false,
            TraceState::NONE,
        ),
        parent_span_id: SpanId::from(parent),
        parent_span_is_remote: false,
        span_kind: SpanKind::Internal,
        name: "work".into(),
        start_time: start,
        end_time: start + ms(1),
        attributes: Vec::new(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: Status::Unset,
        instrumentation_scope: InstrumentationScope::default(),
    };
    Make { data, service: "shop".to_owned() }
}

impl Make {
    /// Another service.
    #[must_use]
    pub fn service(mut self, name: &str) -> Self {
        self.service = name.to_owned();
        self
    }

    /// Another name.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.data.name = name.to_owned().into();
        self
    }

    /// Another kind.
    #[must_use]
    pub fn kind(mut self, kind: SpanKind) -> Self {
        self.data.span_kind = kind;
        self
    }

    /// Another duration.
    #[must_use]
    pub fn lasts(mut self, duration: Duration) -> Self {
        self.data.end_time = self.data.start_time + duration;
        self
    }

    /// One more attribute.
    #[must_use]
    pub fn attribute(mut self, key: &'static str, value: impl Into<opentelemetry::Value>) -> Self {
        self.data.attributes.push(KeyValue::new(key, value));
        self
    }

    /// An error status, with `error.type` unless it is empty.
    #[must_use]
    pub fn fails(mut self, error_type: &str) -> Self {
        self.data.status = Status::error("it failed");
        if !error_type.is_empty() {
            self.data.attributes.push(KeyValue::new("error.type", error_type.to_owned()));
        }
        self
    }

    /// As the store has it.
    #[must_use]
    pub fn row(self) -> StoredSpan {
        let resource = Resource::builder_empty().with_service_name(self.service).build();
        Converter::new(&resource, Lift::default()).convert(&self.data)
    }
}

/// As the store has them.
pub fn rows(spans: impl IntoIterator<Item = Make>) -> Vec<StoredSpan> {
    spans.into_iter().map(Make::row).collect()
}

/// The ids of a list as numbers.
#[must_use]
pub fn ids(list: &store::TraceList) -> Vec<u128> {
    list.traces.iter().map(|trace| u128::from_be_bytes(trace.trace_id.to_bytes())).collect()
}

/// Compares what two spans say, however the database writes its JSON.
///
/// # Panics
///
/// Where they differ.
pub fn same(stored: &StoredSpan, written: &StoredSpan) {
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    let mut a = stored.clone();
    let mut b = written.clone();
    for (x, y) in [
        (&a.attributes_json, &b.attributes_json),
        (&a.events_json, &b.events_json),
        (&a.links_json, &b.links_json),
        (&a.resource.resource_json, &b.resource.resource_json),
        (&a.resource.scope_json, &b.resource.scope_json),
    ] {
        assert_eq!(json(x), json(y));
    }
    assert!(a.created_us > 0, "it is told when it was stored");
    for span in [&mut a, &mut b] {
        span.created_us = 0;
        span.attributes_json.clear();
        span.events_json.clear();
        span.links_json.clear();
    }
    b.resource = Arc::clone(&a.resource);
    assert_eq!(a, b);
}

/// Makes two tests of each case: `sqlite::case` and `postgres::case`. A case takes a [`Fixture`].
#[macro_export]
macro_rules! on_both {
    ($($case:ident),* $(,)?) => {
        mod sqlite {
            $(#[test] fn $case() { $crate::store::on_sqlite(|fixture| Box::pin(super::$case(fixture))); })*
        }
        mod postgres {
            $(#[test] fn $case() { $crate::store::on_postgres(|fixture| Box::pin(super::$case(fixture))); })*
        }
    };
}
