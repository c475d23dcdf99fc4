//! Retention, by age and by size: the oldest traces go, whole.

use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::connection::{failed, patiently, size};
use crate::store::error::StoreError;
use crate::store::span::nanoseconds;

/// Traces removed in one transaction: writing waits for no more than this.
const SLICE: i64 = 500;

/// Pages given back to the file system in one go.
const PAGES: i64 = 2_000;

/// Removes some of what is too old or too much; how many traces. 0: nothing is left to do.
pub(super) fn slice(
    connection: &mut Connection,
    now_ns: i64,
    retention: Option<Duration>,
    most_bytes: u64,
) -> Result<u64, StoreError> {
    let is_too_large = size(connection).map_err(failed)? > most_bytes;
    let oldest = retention.map_or(i64::MIN, |retention| now_ns.saturating_sub(nanoseconds(retention)));
    let before = if is_too_large { i64::MAX } else { oldest };
    let transaction = patiently(|| Transaction::new_unchecked(connection, TransactionBehavior::Immediate))?;
    let removed = remove(&transaction, before).map_err(failed)?;
    if removed == 0 && retention.is_some() {
        for table in ["trace_operations", "execution_trace_resources"] {
            let sql = format!("delete from {table} where last_seen_us < ?1");
            // A day more: names are noted once a day.
            transaction.execute(&sql, [oldest / 1_000 - 86_400_000_000]).map_err(failed)?;
        }
    }
    transaction.commit().map_err(failed)?;
    // Free pages are filled again; only what exceeds a slice is worth giving back.
    let vacuum = format!("pragma incremental_vacuum({PAGES})");
    patiently(|| {
        let mut statement = connection.prepare(&vacuum)?;
        let mut rows = statement.query([])?;
        while rows.next()?.is_some() {}
        Ok(())
    })?;
    Ok(removed)
}

fn remove(transaction: &Transaction<'_>, before: i64) -> rusqlite::Result<u64> {
    transaction.execute_batch(
        "create temp table if not exists going (trace_id blob primary key); delete from going;",
    )?;
    let sql = "insert into going select trace_id from trace_summaries where start_ns < ?1 order by start_ns limit ?2";
    let count = transaction.execute(sql, params![before, SLICE])?;
    if count > 0 {
        transaction
            .execute("delete from execution_traces where trace_id in (select trace_id from going)", [])?;
        transaction
            .execute("delete from trace_summaries where trace_id in (select trace_id from going)", [])?;
    }
    Ok(count as u64)
}
