//! Traces in a database: PostgreSQL, or one SQLite file when there is no server.
//!
//! The exporter `database` writes here; a [`Store`] can be opened beside it, also by another process, to read. Its guide,
//! with the SQL people ask for, is [`guide::store`](crate::guide::store).
//!
//! ```
//! # #[cfg(feature = "sqlite")]
//! # fn main() -> Result<(), throughline::store::StoreError> {
//! use throughline::store::{self, Filter, Page, StoreOptions};
//!
//! # let folder = std::env::temp_dir().join(format!("throughline-doc-{}", std::process::id()));
//! # std::fs::create_dir_all(&folder).unwrap();
//! # let url = format!("sqlite:{}", folder.join("traces.db").display());
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let store = store::open(StoreOptions::new(url))?;
//! let failures = store.list(Filter::new().service("planner"), Page::first(20)).await?;
//! assert_eq!(failures.total, Some(0));
//! # Ok(())
//! # })
//! # }
//! # #[cfg(not(feature = "sqlite"))]
//! # fn main() {}
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `span`, `lift`, `json`, `batch` | a span as a row, and what a batch adds beside its rows |
//! | `filter`, `matches`, `answer`, `options`, `error` | what goes in and comes out |
//! | `otlp` | OTLP's messages as rows, and rows as messages |
//! | `query`, `sql`, `tree` | the queries, once for both databases |
//! | `postgres`, `sqlite` | writing, migrations, retention |

mod answer;
pub(crate) mod backend;
pub(crate) mod batch;
mod bloom;
mod error;
mod filter;
pub(crate) mod gather;
mod json;
mod lift;
mod matches;
mod migration;
mod options;
#[cfg(feature = "viewer")]
pub(crate) mod otlp;
#[cfg(feature = "postgres")]
mod postgres;
mod query;
mod span;
pub(crate) mod sql;
#[cfg(feature = "sqlite")]
mod sqlite;
mod tree;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{SpanKind, TraceId};

pub use self::answer::{
    Edge, Latency, Maintained, ServiceCount, SpanStats, Stats, StoreHealth, Tail, TraceList, TraceSummary,
    Written,
};
use self::backend::Backend;
pub use self::error::StoreError;
pub use self::filter::{Filter, Outcome, Page, SpanCursor, TailCursor, TraceCursor};
pub use self::lift::Lift;
pub(crate) use self::options::{DEFAULT_URL, Kind, kind, shown};
pub use self::options::{Partition, StoreOptions};
pub use self::span::{Converter, StoredResource, StoredSpan};
#[cfg(feature = "viewer")]
pub(crate) use self::span::{KINDS, kind_word};
pub use self::tree::{Step, Tree, TreeSpan};

/// The future of a store's answer; boxed, so that stores of both kinds are one type.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// A database with spans in it.
///
/// Implemented for PostgreSQL and SQLite by this crate alone; [`open`] gives one. All answers are the same for both.
/// Each method can fail with [`StoreError::Unavailable`] while the database is away, and queries with
/// [`StoreError::TimedOut`] and [`StoreError::TooLarge`]. The futures need a tokio runtime with its I/O and timers on.
pub trait Store: sealed::Sealed + fmt::Debug + Send + Sync {
    /// Makes the schema, or brings it up to date, and gives its version. Any number of processes may do so at once.
    ///
    /// # Errors
    ///
    /// [`StoreError::ChangedMigration`], and what the database refuses.
    fn migrate(&self) -> StoreFuture<'_, i32>;

    /// Stores spans, all or, on an error, perhaps none. A span that is there already is counted and left as it is, so a
    /// batch may be written again when it is not known what became of it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`]: write it again later.
    fn write(&self, spans: Vec<StoredSpan>) -> StoreFuture<'_, Written>;

    /// The traces with a span that the filter means, newest first.
    ///
    /// # Errors
    ///
    /// Those of every query.
    fn list(&self, filter: Filter, page: Page) -> StoreFuture<'_, TraceList>;

    /// One trace; `None` when it is not stored.
    ///
    /// # Errors
    ///
    /// Those of every query.
    fn trace(&self, id: TraceId) -> StoreFuture<'_, Option<TraceSummary>>;

    /// Some traces, newest first; those that are not stored are left out.
    ///
    /// # Errors
    ///
    /// Those of every query.
    fn traces(&self, ids: Vec<TraceId>) -> StoreFuture<'_, Vec<TraceSummary>>;

    /// The spans of a trace by start, at most `limit` of those after the cursor.
    ///
    /// # Errors
    ///
    /// Those of every query.
    fn spans(&self, id: TraceId, after: Option<SpanCursor>, limit: usize)
    -> StoreFuture<'_, Vec<StoredSpan>>;

    /// What each service has in these traces, sorted by trace and service. Traces that are not stored are left out.
    ///
    /// # Errors
    ///
    /// Those of every query.
    fn service_counts(&self, traces: Vec<TraceId>) -> StoreFuture<'_, Vec<ServiceCount>>;

    /// Counts, error rates and percentiles; by time too if a width of at least 1 ms is given.
    ///
    /// # Errors
    ///
    /// Those of every query.
    fn stats(&self, filter: Filter, width: Option<Duration>) -> StoreFuture<'_, Stats>;

    /// How many spans took how long. The bounds are 2, 4, 6, 8, 10, 50, 100, 200, 400 and 800 ms, 1, 1.4, 2, 5, 10 and
    /// 15 s.
    ///
    /// # Errors
    ///
    /// Those of every query.
    fn latency(&self, filter: Filter) -> StoreFuture<'_, Latency>;

    /// The names of all services, sorted.
    ///
    /// # Errors
    ///
    /// Those of every query.
    fn services(&self) -> StoreFuture<'_, Vec<String>>;

    /// The names of operations, each with OTLP's number of its kind, sorted.
    ///
    /// # Errors
    ///
    /// Those of every query.
    fn operations(
        &self,
        service: Option<String>,
        kind: Option<SpanKind>,
    ) -> StoreFuture<'_, Vec<(String, i16)>>;

    /// Who calls whom, sorted: parents and children of different services, and client and producer spans without a
    /// partner, named by `service.peer.name`, `db.namespace`, `messaging.destination.name` or `server.address`.
    ///
    /// A range of more than 7 days is cut to its last 7.
    ///
    /// # Errors
    ///
    /// Those of every query.
    fn dependencies(&self, from: SystemTime, to: SystemTime) -> StoreFuture<'_, Vec<Edge>>;

    /// Spans in the order in which they were stored, of those that began in the last 15 minutes. Without a cursor: none,
    /// and the cursor from which on new ones will be told.
    ///
    /// What was stored less than `settle` ago is left for the next call: in PostgreSQL a transaction that began earlier may
    /// commit later. 1 s is plenty; SQLite needs none and ignores it.
    ///
    /// # Errors
    ///
    /// Those of every query.
    fn tail(
        &self,
        after: Option<TailCursor>,
        filter: Filter,
        limit: usize,
        settle: Duration,
    ) -> StoreFuture<'_, Tail>;

    /// Makes partitions ahead and removes what is past the retention. Whoever writes calls it now and then; one process at
    /// a time does the work.
    ///
    /// # Errors
    ///
    /// What the database refuses.
    fn maintain(&self, now: SystemTime) -> StoreFuture<'_, Maintained>;

    /// Whether the store answers, how large and how old it is.
    ///
    /// # Errors
    ///
    /// Those of every query.
    fn health(&self) -> StoreFuture<'_, StoreHealth>;
}

mod sealed {
    pub trait Sealed {}
    impl<B: super::Backend> Sealed for B {}
}

/// Opens the store that the URL names. Nothing is connected to, and no file made, before the first use.
///
/// # Errors
///
/// [`StoreError::Url`] and [`StoreError::FeatureMissing`].
pub fn open(options: StoreOptions) -> Result<Arc<dyn Store>, StoreError> {
    match kind(&options.url)? {
        #[cfg(feature = "postgres")]
        Kind::Postgres => Ok(Arc::new(postgres::Postgres::new(options)?)),
        #[cfg(not(feature = "postgres"))]
        Kind::Postgres => Err(StoreError::FeatureMissing { what: "PostgreSQL", feature: "postgres" }),
        #[cfg(feature = "sqlite")]
        Kind::Sqlite(path) => Ok(Arc::new(sqlite::Sqlite::new(path, options))),
        #[cfg(not(feature = "sqlite"))]
        Kind::Sqlite(_) => Err(StoreError::FeatureMissing { what: "SQLite", feature: "sqlite" }),
    }
}

/// The SQL of all migrations for the store that the URL names, for those who may not run DDL from a program.
///
/// # Errors
///
/// Those of [`open`].
pub fn schema_sql(url: &str) -> Result<String, StoreError> {
    match kind(url)? {
        #[cfg(feature = "postgres")]
        Kind::Postgres => Ok(migration::print(postgres::MIGRATIONS)),
        #[cfg(not(feature = "postgres"))]
        Kind::Postgres => Err(StoreError::FeatureMissing { what: "PostgreSQL", feature: "postgres" }),
        #[cfg(feature = "sqlite")]
        Kind::Sqlite(_) => Ok(migration::print(sqlite::MIGRATIONS)),
        #[cfg(not(feature = "sqlite"))]
        Kind::Sqlite(_) => Err(StoreError::FeatureMissing { what: "SQLite", feature: "sqlite" }),
    }
}

impl<B: Backend> Store for B {
    fn migrate(&self) -> StoreFuture<'_, i32> {
        Box::pin(self.migrate_schema())
    }

    fn write(&self, spans: Vec<StoredSpan>) -> StoreFuture<'_, Written> {
        Box::pin(self.gather().write(spans, |spans| self.write_batch(spans)))
    }

    fn list(&self, filter: Filter, page: Page) -> StoreFuture<'_, TraceList> {
        Box::pin(query::list(self, filter, page))
    }

    fn trace(&self, id: TraceId) -> StoreFuture<'_, Option<TraceSummary>> {
        Box::pin(query::trace(self, id))
    }

    fn traces(&self, ids: Vec<TraceId>) -> StoreFuture<'_, Vec<TraceSummary>> {
        Box::pin(query::traces(self, ids))
    }

    fn spans(
        &self,
        id: TraceId,
        after: Option<SpanCursor>,
        limit: usize,
    ) -> StoreFuture<'_, Vec<StoredSpan>> {
        Box::pin(query::spans(self, id, after, limit))
    }

    fn service_counts(&self, traces: Vec<TraceId>) -> StoreFuture<'_, Vec<ServiceCount>> {
        Box::pin(query::service_counts(self, traces))
    }

    fn stats(&self, filter: Filter, width: Option<Duration>) -> StoreFuture<'_, Stats> {
        Box::pin(query::stats(self, filter, width))
    }

    fn latency(&self, filter: Filter) -> StoreFuture<'_, Latency> {
        Box::pin(query::latency(self, filter))
    }

    fn services(&self) -> StoreFuture<'_, Vec<String>> {
        Box::pin(query::services(self))
    }

    fn operations(
        &self,
        service: Option<String>,
        kind: Option<SpanKind>,
    ) -> StoreFuture<'_, Vec<(String, i16)>> {
        Box::pin(query::operations(self, service, kind))
    }

    fn dependencies(&self, from: SystemTime, to: SystemTime) -> StoreFuture<'_, Vec<Edge>> {
        Box::pin(query::dependencies(self, from, to))
    }

    fn tail(
        &self,
        after: Option<TailCursor>,
        filter: Filter,
        limit: usize,
        settle: Duration,
    ) -> StoreFuture<'_, Tail> {
        Box::pin(query::tail(self, after, filter, limit, settle))
    }

    fn maintain(&self, now: SystemTime) -> StoreFuture<'_, Maintained> {
        Box::pin(self.maintain_at(now))
    }

    fn health(&self) -> StoreFuture<'_, StoreHealth> {
        Box::pin(self.state())
    }
}
