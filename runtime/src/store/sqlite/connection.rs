//! Opening the file, and what its errors mean.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::functions;
use crate::store::error::StoreError;

/// How long one process waits for another that writes.
const BUSY: Duration = Duration::from_secs(5);

pub(super) fn open_to_write(path: &Path) -> Result<Connection, StoreError> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_timeout(BUSY).map_err(failed)?;
    // Before anything is in the file: later it would take a rewrite. The write-ahead log's own lock does not wait, so
    // that of two processes which make the file at once one is refused, and tries again.
    patiently(|| {
        connection.execute_batch(
            "pragma auto_vacuum = incremental; pragma journal_mode = wal; pragma synchronous = normal; \
             pragma cache_size = -65536; pragma temp_store = memory; pragma foreign_keys = off;",
        )
    })?;
    functions::register(&connection).map_err(failed)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

pub(super) fn open_to_read(path: &Path, timeout: Duration) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_timeout(BUSY.min(timeout)).map_err(failed)?;
    connection
        .execute_batch("pragma query_only = on; pragma cache_size = -32768; pragma temp_store = memory; pragma mmap_size = 1073741824;")
        .map_err(failed)?;
    functions::register(&connection).map_err(failed)?;
    Ok(connection)
}

/// Tries again while another process is at it.
pub(super) fn patiently<T>(mut attempt: impl FnMut() -> rusqlite::Result<T>) -> Result<T, StoreError> {
    let deadline = Instant::now() + BUSY;
    loop {
        match attempt() {
            Err(error) if is_busy(&error) && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(10));
            }
            other => return other.map_err(failed),
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// The version of the schema; 0 for none.
pub(super) fn version(connection: &Connection) -> rusqlite::Result<i32> {
    let sql = "select count(*) from sqlite_master where name = 'throughline_migrations'";
    if connection.query_row(sql, [], |row| row.get::<_, i64>(0))? == 0 {
        return Ok(0);
    }
    connection.query_row("select coalesce(max(version), 0) from throughline_migrations", [], |row| row.get(0))
}

/// What the pages in use take, in bytes.
pub(super) fn size(connection: &Connection) -> rusqlite::Result<u64> {
    let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    let pages = number("pragma page_count")? - number("pragma freelist_count")?;
    Ok(u64::try_from(pages.saturating_mul(number("pragma page_size")?)).unwrap_or(0))
}

pub(super) fn failed(error: rusqlite::Error) -> StoreError {
    let why = match error.sqlite_error_code() {
        Some(ErrorCode::OperationInterrupted) => return StoreError::TimedOut,
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => "another process holds the file",
        Some(ErrorCode::DiskFull) => "the disk is full",
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => {
            "the file cannot be opened or written; correct the path in THROUGHLINE_DATABASE_URL or its permissions"
        }
        Some(ErrorCode::SystemIoFailure) => "the disk failed",
        Some(ErrorCode::NotADatabase) => {
            return StoreError::Refused {
                why: "the file is no SQLite database".into(),
                source: Some(Box::new(error)),
            };
        }
        _ => return StoreError::Refused { why: "SQLite failed".into(), source: Some(Box::new(error)) },
    };
    StoreError::Unavailable { why: why.into(), source: Some(Box::new(error)) }
}
