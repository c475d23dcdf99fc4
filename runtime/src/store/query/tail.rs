//! Spans in the order in which they were stored.

use std::time::{Duration, SystemTime};

use super::spans::{columns, read};
use super::wanted::Wanted;
use crate::store::answer::Tail;
use crate::store::backend::Backend;
use crate::store::batch::id_number;
use crate::store::error::StoreError;
use crate::store::filter::{Filter, TailCursor};
use crate::store::span::{nanoseconds, time_ns};
use crate::store::sql::{Row, Sql};

/// Spans that began earlier are no news.
const NEWS: Duration = Duration::from_secs(15 * 60);

pub(in crate::store) async fn tail<B: Backend>(
    backend: &B,
    after: Option<TailCursor>,
    filter: Filter,
    limit: usize,
    settle: Duration,
) -> Result<Tail, StoreError> {
    let wanted = Wanted::new(backend, filter).await?;
    let now = SystemTime::now();
    let settled = time_ns(now).saturating_sub(nanoseconds(settle)) / 1_000;
    let Some(after) = after else {
        return Ok(Tail { spans: Vec::new(), cursor: newest(backend, settled).await? });
    };
    let dialect = backend.dialect();
    let mut sql = Sql::new(dialect, "select ");
    sql.push(&columns(dialect)).push(" from execution_traces e where true");
    sql.starts("e.", ">=", time_ns(now).saturating_sub(nanoseconds(NEWS)));
    match dialect {
        #[cfg(feature = "postgres")]
        crate::store::sql::Dialect::Postgres => {
            sql.push(" and e.created_at <= ").bind(time(settled));
            sql.push(" and e.created_at >= ").bind(time(after.at));
            sql.push(" and (e.created_at, e.trace_id, e.span_id) > (").bind(time(after.at)).push(", ");
            sql.trace(after.trace_id).push(", ").int(id_number(after.span_id)).push(")");
        }
        // A row's number only grows, and one transaction follows another.
        #[cfg(feature = "sqlite")]
        crate::store::sql::Dialect::Sqlite => {
            let _ = settled;
            sql.push(" and e.id > ").int(after.at);
        }
    }
    wanted.spans(&mut sql, "e.");
    sql.push(dialect.pick(" order by e.created_at, e.trace_id, e.span_id", " order by e.id"));
    sql.push(" limit ").int(i64::try_from(limit).unwrap_or(i64::MAX));
    let spans = read(backend, sql).await?;
    let cursor = match spans.last() {
        None => Some(after),
        #[allow(unused_variables)] // in a build with one of them
        Some(last) => match dialect {
            #[cfg(feature = "postgres")]
            crate::store::sql::Dialect::Postgres => {
                Some(TailCursor { at: last.created_us, trace_id: last.trace_id, span_id: last.span_id })
            }
            #[cfg(feature = "sqlite")]
            crate::store::sql::Dialect::Sqlite => number_of(backend, last).await?,
        },
    };
    Ok(Tail { spans, cursor })
}

#[cfg(feature = "postgres")]
fn time(us: i64) -> crate::store::sql::Param {
    crate::store::sql::Param::Time(us.saturating_mul(1_000))
}

/// The place after everything that is stored.
#[cfg_attr(not(feature = "postgres"), allow(unused_variables))]
async fn newest<B: Backend>(backend: &B, settled: i64) -> Result<Option<TailCursor>, StoreError> {
    let nowhere = |at| TailCursor {
        at,
        trace_id: opentelemetry::trace::TraceId::INVALID,
        span_id: opentelemetry::trace::SpanId::INVALID,
    };
    match backend.dialect() {
        #[cfg(feature = "postgres")]
        crate::store::sql::Dialect::Postgres => {
            // Even a store that does not answer now is asked, so that the caller hears of it.
            let sql = Sql::new(backend.dialect(), "select (extract(epoch from now()) * 1000000)::int8");
            let now = backend.rows(sql).await?.first_mut().map_or(settled, Row::int);
            Ok(Some(nowhere(now.min(settled))))
        }
        #[cfg(feature = "sqlite")]
        crate::store::sql::Dialect::Sqlite => {
            let sql = Sql::new(backend.dialect(), "select coalesce(max(id), 0) from execution_traces");
            Ok(backend.rows(sql).await?.first_mut().map(|row| nowhere(row.int())))
        }
    }
}

#[cfg(feature = "sqlite")]
async fn number_of<B: Backend>(
    backend: &B,
    span: &crate::store::span::StoredSpan,
) -> Result<Option<TailCursor>, StoreError> {
    let mut sql = Sql::new(backend.dialect(), "select id from execution_traces where trace_id = ");
    sql.trace(span.trace_id)
        .push(" and span_id = ")
        .int(id_number(span.span_id))
        .push(" and start_ns = ")
        .int(span.start_ns);
    let id = backend.rows(sql).await?.first_mut().map(Row::int);
    Ok(id.map(|at| TailCursor { at, trace_id: span.trace_id, span_id: span.span_id }))
}
