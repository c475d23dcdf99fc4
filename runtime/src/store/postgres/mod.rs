//! The store in PostgreSQL 14 or newer: a connection or two that write, a few that read.

mod calendar;
mod connection;
mod copy;
mod encryption;
mod insert;
mod maintain;
mod migrate;
mod partition;
mod rows;
mod summary;
#[cfg(feature = "postgres-tls")]
mod tls;
mod values;
mod write;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use self::connection::{Pool, Target, failed};
use super::answer::{Maintained, StoreHealth};
use super::backend::Backend;
use super::batch::Fate;
use super::error::StoreError;
use super::gather::Gather;
use super::migration::{Migration, newest};
use super::options::StoreOptions;
use super::span::{StoredSpan, time_ns};
use super::sql::{Dialect, Row, Sql};

/// The steps of this store.
pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, sql: include_str!("migrations/0001_traces.sql") },
    Migration { version: 2, sql: include_str!("migrations/0002_attributes_of_traces.sql") },
];

/// Queries that run at once.
const READERS: usize = 4;

/// Transactions that are written at once: while one waits for the disk, or for us to encode its rows, the other one works.
const WRITERS: usize = 2;

/// A database, and the connections to it.
pub(crate) struct Postgres {
    options: StoreOptions,
    target: Target,
    /// Where migrations go.
    migrations: Target,
    /// Those that rest. They are taken out while they write: what is dropped halfway is never used again.
    writers: Mutex<Vec<write::Writer>>,
    readers: Pool,
    gather: Gather,
    /// The schema was seen to be there.
    is_ready: AtomicBool,
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Postgres {
    pub(crate) fn new(options: StoreOptions) -> Result<Self, StoreError> {
        let target = Target::new(&options.url)?;
        let migrations = options.migration_url.as_deref().map_or(Ok(target.clone()), Target::new)?;
        Ok(Self {
            readers: Pool::new(target.clone(), READERS, options.query_timeout),
            target,
            migrations,
            writers: Mutex::default(),
            gather: Gather::new(WRITERS),
            is_ready: AtomicBool::new(false),
            options,
        })
    }

    fn writers(&self) -> MutexGuard<'_, Vec<write::Writer>> {
        self.writers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Before the first use: the schema.
    async fn ready(&self) -> Result<(), StoreError> {
        if self.is_ready.load(Ordering::Acquire) {
            return Ok(());
        }
        if self.options.auto_migrate {
            return self.migrate_schema().await.map(|_| ());
        }
        let client = self.target.connect().await?;
        let found = migrate::version(&client).await?;
        if found < newest(MIGRATIONS) {
            return Err(StoreError::NotMigrated { found, needed: newest(MIGRATIONS) });
        }
        self.is_ready.store(true, Ordering::Release);
        Ok(())
    }
}

impl Backend for Postgres {
    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    async fn migrate_schema(&self) -> Result<i32, StoreError> {
        let mut client = self.migrations.connect().await?;
        let version = migrate::migrate(&mut client, self.options.index_attributes).await?;
        self.is_ready.store(true, Ordering::Release);
        Ok(version)
    }

    fn gather(&self) -> &Gather {
        &self.gather
    }

    async fn write_batch(&self, spans: Arc<Vec<StoredSpan>>) -> Result<Vec<Fate>, StoreError> {
        self.ready().await?;
        let resting = self.writers().pop();
        let mut writer = match resting.filter(write::Writer::is_usable) {
            Some(writer) => writer,
            None => write::Writer::new(self.target.connect().await?, self.options.partition),
        };
        let written = writer.write(&spans, time_ns(SystemTime::now()), self.options.retention).await;
        if writer.is_usable() {
            self.writers().push(writer);
        }
        written
    }

    async fn rows(&self, sql: Sql) -> Result<Vec<Row>, StoreError> {
        self.ready().await?;
        let client = self.readers.get().await?;
        let rows = rows::rows(&client, &sql, self.options.max_answer_bytes).await;
        // Else the rest of a large answer would still come.
        if !matches!(rows, Err(StoreError::TooLarge)) {
            client.put_back();
        }
        rows
    }

    async fn maintain_at(&self, now: SystemTime) -> Result<Maintained, StoreError> {
        self.ready().await?;
        let mut client = self.migrations.connect().await?;
        maintain::maintain(&mut client, time_ns(now), &self.options).await
    }

    async fn state(&self) -> Result<StoreHealth, StoreError> {
        self.ready().await?;
        let sql = "select (select max(version) from throughline_migrations)::int8, \
                   (select coalesce(sum(pg_total_relation_size(relid)), 0) from pg_partition_tree('execution_traces'))::int8, \
                   (select start_ns from trace_summaries order by start_ns limit 1), \
                   (select start_ns from trace_summaries order by start_ns desc limit 1)";
        let mut row = self.rows(Sql::new(Dialect::Postgres, sql)).await?.pop().unwrap_or_default();
        Ok(StoreHealth {
            schema: row.number(),
            size_bytes: row.count(),
            oldest_ns: row.maybe_int(),
            newest_ns: row.maybe_int(),
        })
    }
}

/// The class of a failed statement: the first two characters of its SQLSTATE.
fn class(error: &tokio_postgres::Error) -> &str {
    error.code().and_then(|code| code.code().get(..2)).unwrap_or_default()
}

/// Runs a statement that takes no values.
async fn run(client: &tokio_postgres::Client, sql: &str) -> Result<(), StoreError> {
    client.batch_execute(sql).await.map_err(failed)
}
