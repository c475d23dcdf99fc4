//! How many traces a list has. A count must not take longer than the page that it stands beside, so it looks at a bounded
//! number of rows and says when there are more.

use super::list::{in_range, span_exists};
use super::wanted::Wanted;
use crate::store::backend::Backend;
use crate::store::error::StoreError;
use crate::store::sql::{Row, Sql};

/// Traces that are counted where no span is asked for.
const MOST_TRACES: i64 = 10_000;

/// Spans that are looked at where an index leads to them, newest first.
const MOST_SPANS: i64 = 5_000;

/// Traces that are asked one by one for such a span.
const MOST_ASKED: i64 = 1_000;

/// Traces, and whether there are more than that.
pub(super) type Count = (u64, bool);

pub(super) async fn count<B: Backend>(backend: &B, wanted: &Wanted) -> Result<Count, StoreError> {
    if !wanted.filter.asks_for_a_span() {
        return traces(backend, wanted).await;
    }
    // With an end far back, the newest spans to which an index leads may all be after it.
    let ends = wanted.filter.to.is_some() || wanted.filter.span_range.is_some();
    if wanted.filter.is_indexed() && !ends {
        by_index(backend, wanted).await
    } else {
        asked(backend, wanted).await
    }
}

async fn traces<B: Backend>(backend: &B, wanted: &Wanted) -> Result<Count, StoreError> {
    let mut sql =
        Sql::new(backend.dialect(), "select count(*) from (select 1 from trace_summaries s where true");
    in_range(&mut sql, wanted);
    sql.push(" limit ").int(MOST_TRACES + 1).push(") counted");
    let count = backend.rows(sql).await?.first_mut().map_or(0, Row::int);
    Ok((number(count.min(MOST_TRACES)), count > MOST_TRACES))
}

/// Looks at the newest spans to which one condition of the filter leads, and asks them for the others.
async fn by_index<B: Backend>(backend: &B, wanted: &Wanted) -> Result<Count, StoreError> {
    let mut sql =
        Sql::new(backend.dialect(), "with looked_at as materialized (select trace_id, case when true");
    wanted.spans(&mut sql, "e.");
    sql.push(" then 1 else 0 end as matches from (select * from execution_traces where true");
    wanted.leading(&mut sql);
    // A trace that begins in time has its spans later. There is no such bound on the other side.
    if let Some(from) = wanted.begins() {
        sql.starts("", ">=", from);
    }
    sql.push(sql.dialect.pick(" order by start_time desc limit ", " order by start_ns desc limit "));
    sql.int(MOST_SPANS + 1).push(") e) select (select count(*) from looked_at), ");
    if wanted.is_bound_to_traces() {
        sql.push(
            "(select count(*) from (select distinct trace_id from looked_at where matches = 1) d \
             join trace_summaries s on s.trace_id = d.trace_id where true",
        );
        in_range(&mut sql, wanted);
        sql.push(")");
    } else {
        sql.push("(select count(distinct trace_id) from looked_at where matches = 1)");
    }
    let (looked_at, traces) = two(backend.rows(sql).await?);
    Ok((number(traces.min(MOST_SPANS)), looked_at > MOST_SPANS))
}

/// Asks the newest traces one by one.
async fn asked<B: Backend>(backend: &B, wanted: &Wanted) -> Result<Count, StoreError> {
    let mut sql =
        Sql::new(backend.dialect(), "select count(*), coalesce(sum(matches), 0) from (select case when ");
    span_exists(&mut sql, wanted);
    sql.push(" then 1 else 0 end as matches from trace_summaries s where true");
    in_range(&mut sql, wanted);
    sql.push(" order by s.start_ns desc, s.trace_id desc limit ").int(MOST_ASKED + 1).push(") asked");
    let (asked, traces) = two(backend.rows(sql).await?);
    Ok((number(traces.min(MOST_ASKED)), asked > MOST_ASKED))
}

fn two(mut rows: Vec<Row>) -> (i64, i64) {
    rows.first_mut().map_or((0, 0), |row| (row.int(), row.int()))
}

fn number(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}
