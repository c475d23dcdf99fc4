//! The store in one SQLite file: one writer thread, a few threads that read.
//!
//! Processes of one host may share the file; network file systems may not hold it (SQLite's write-ahead log is shared
//! memory).

mod checkpoint;
mod connection;
mod functions;
mod maintain;
mod rows;
mod threads;
mod write;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use self::connection::{failed, open_to_read};
use self::threads::Threads;
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
    Migration { version: 2, sql: include_str!("migrations/0002_answers_from_indexes.sql") },
];

/// Queries that run at once.
const READERS: usize = 4;

/// A file, and the threads that work on it.
pub(crate) struct Sqlite {
    options: StoreOptions,
    path: PathBuf,
    writer: Threads<write::Writer>,
    readers: Threads<rusqlite::Connection>,
    gather: Gather,
    /// The schema was seen to be there.
    is_ready: AtomicBool,
}

impl fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sqlite").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Sqlite {
    pub(crate) fn new(path: PathBuf, options: StoreOptions) -> Self {
        let (to_write, to_read, timeout) = (path.clone(), path.clone(), options.query_timeout);
        Self {
            writer: Threads::new("throughline-sqlite-write", 1, move || write::Writer::new(&to_write)),
            readers: Threads::new("throughline-sqlite-read", READERS, move || {
                open_to_read(&to_read, timeout)
            }),
            gather: Gather::new(1),
            path,
            options,
            is_ready: AtomicBool::new(false),
        }
    }

    /// Before the first use: the schema.
    async fn ready(&self) -> Result<(), StoreError> {
        if self.is_ready.load(Ordering::Acquire) {
            return Ok(());
        }
        if self.options.auto_migrate {
            return self.migrate_schema().await.map(|_| ());
        }
        let found = self.readers.run(|connection| connection::version(connection).map_err(failed)).await?;
        if found < newest(MIGRATIONS) {
            return Err(StoreError::NotMigrated { found, needed: newest(MIGRATIONS) });
        }
        self.is_ready.store(true, Ordering::Release);
        Ok(())
    }
}

impl Backend for Sqlite {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    async fn migrate_schema(&self) -> Result<i32, StoreError> {
        let version = self.writer.run(|writer| writer.migrate()).await?;
        self.is_ready.store(true, Ordering::Release);
        Ok(version)
    }

    fn gather(&self) -> &Gather {
        &self.gather
    }

    async fn write_batch(&self, spans: Arc<Vec<StoredSpan>>) -> Result<Vec<Fate>, StoreError> {
        self.ready().await?;
        let retention = self.options.retention;
        self.writer.run(move |writer| writer.write(&spans, time_ns(SystemTime::now()), retention)).await
    }

    async fn rows(&self, sql: Sql) -> Result<Vec<Row>, StoreError> {
        self.ready().await?;
        let (timeout, most_bytes) = (self.options.query_timeout, self.options.max_answer_bytes);
        self.readers
            .run(move |connection| {
                rows::limit(connection, timeout).map_err(failed)?;
                rows::rows(connection, &sql, most_bytes)
            })
            .await
    }

    async fn maintain_at(&self, now: SystemTime) -> Result<Maintained, StoreError> {
        self.ready().await?;
        let mut maintained = Maintained::default();
        // In slices, between which batches are written.
        loop {
            let (retention, most_bytes) = (self.options.retention, self.options.sqlite_max_bytes);
            let slice = move |writer: &mut write::Writer| writer.remove(time_ns(now), retention, most_bytes);
            let removed = self.writer.run(slice).await?;
            maintained.traces_removed += removed;
            if removed == 0 {
                return Ok(maintained);
            }
        }
    }

    async fn state(&self) -> Result<StoreHealth, StoreError> {
        self.ready().await?;
        self.readers
            .run(|connection| {
                let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, Option<i64>>(0));
                Ok(StoreHealth {
                    schema: connection::version(connection).map_err(failed)?,
                    size_bytes: connection::size(connection).map_err(failed)?,
                    oldest_ns: number("select min(start_ns) from trace_summaries").map_err(failed)?,
                    newest_ns: number("select max(start_ns) from trace_summaries").map_err(failed)?,
                })
            })
            .await
    }
}
