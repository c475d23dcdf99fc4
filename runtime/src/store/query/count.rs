//! How many traces a list has. A count must not take longer than the page that it stands beside, so it looks at a bounded
//! number of rows and says when there are more.

use super::list::{in_range, newest_first, span_exists};
use super::wanted::Wanted;
use crate::store::backend::Backend;
use crate::store::error::StoreError;
use crate::store::sql::{Row, Sql};

/// Summaries that are looked at.
const MOST_TRACES: i64 = 10_000;

/// Spans that are looked at where an index leads to them, newest first.
const MOST_SPANS: i64 = 5_000;

/// Summaries that are looked at where each also has to rule out attributes.
const MOST_RULED_OUT: i64 = 5_000;

/// Traces that are asked one by one for such a span.
const MOST_ASKED: i64 = 1_000;

/// Traces, and whether there are more than that.
pub(super) type Count = (u64, bool);

pub(super) async fn count<B: Backend>(backend: &B, wanted: &Wanted) -> Result<Count, StoreError> {
    if !wanted.filter.asks_for_a_span() || wanted.is_told_by_summaries() {
        return told(backend, wanted).await;
    }
    // With an end far back, the newest spans to which an index leads may all be after it.
    let ends = wanted.filter.to.is_some() || wanted.filter.span_range.is_some();
    if wanted.filter.is_indexed() && !ends {
        by_index(backend, wanted).await
    } else {
        asked(backend, wanted).await
    }
}

/// Counts the newest summaries.
async fn told<B: Backend>(backend: &B, wanted: &Wanted) -> Result<Count, StoreError> {
    let mut sql =
        Sql::new(backend.dialect(), "select count(*), coalesce(sum(matches), 0) from (select case when true");
    wanted.told_by_summaries(&mut sql);
    sql.push(" then 1 else 0 end as matches from trace_summaries s where true");
    in_range(&mut sql, wanted);
    sql.push(" order by s.start_ns desc, s.trace_id desc limit ").int(MOST_TRACES + 1).push(") told");
    let [looked_at, traces] = numbers(backend.rows(sql).await?);
    Ok((number(traces.min(MOST_TRACES)), looked_at > MOST_TRACES))
}

/// Looks at the newest spans to which one condition of the filter leads, and asks them for the others.
async fn by_index<B: Backend>(backend: &B, wanted: &Wanted) -> Result<Count, StoreError> {
    let mut sql = Sql::new(backend.dialect(), "with looked_at as materialized (");
    let alternatives = wanted.alternatives();
    let most_of_one = MOST_SPANS / i64::try_from(alternatives.len()).unwrap_or(MOST_SPANS).max(1);
    for (number, one) in alternatives.iter().enumerate() {
        sql.push(if number > 0 { " union all " } else { "" });
        sql.push(&format!(
            "select {number} as alternative, trace_id, matches from (select trace_id, case when true"
        ));
        one.spans(&mut sql, "");
        sql.push(" then 1 else 0 end as matches from execution_traces");
        one.index(&mut sql);
        sql.push(" where true");
        one.leading(&mut sql);
        // A trace that begins in time has its spans later. There is no such bound on the other side.
        if let Some(from) = one.begins() {
            sql.starts("", ">=", from);
        }
        newest_first(&mut sql).int(most_of_one + 1).push(&format!(") newest_{number}"));
    }
    sql.push(
        ") select (select coalesce(max(spans), 0) from (select count(*) as spans from looked_at group by alternative) each_one), ",
    );
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
    let [looked_at, traces] = numbers(backend.rows(sql).await?);
    Ok((number(traces.min(MOST_SPANS)), looked_at > most_of_one))
}

/// Asks the newest traces one by one, where their summaries do not rule it out.
async fn asked<B: Backend>(backend: &B, wanted: &Wanted) -> Result<Count, StoreError> {
    let mut sql = Sql::new(
        backend.dialect(),
        "with looked_at as materialized (select s.trace_id, s.start_ns, s.end_ns, case when true",
    );
    wanted.told_by_summaries(&mut sql);
    sql.push(" then 1 else 0 end as may from trace_summaries s where true");
    in_range(&mut sql, wanted);
    sql.push(" order by s.start_ns desc, s.trace_id desc limit ").int(MOST_RULED_OUT + 1);
    sql.push("), asked as materialized (select case when ");
    span_exists(&mut sql, wanted);
    sql.push(" then 1 else 0 end as matches from looked_at s where s.may = 1 limit ").int(MOST_ASKED + 1);
    sql.push(
        ") select (select count(*) from looked_at), (select count(*) from asked), \
         (select coalesce(sum(matches), 0) from asked)",
    );
    let [looked_at, asked, traces] = numbers(backend.rows(sql).await?);
    Ok((number(traces.min(MOST_ASKED)), looked_at > MOST_RULED_OUT || asked > MOST_ASKED))
}

/// The first numbers of the one row.
fn numbers<const COUNT: usize>(mut rows: Vec<Row>) -> [i64; COUNT] {
    let mut row = rows.first_mut();
    [(); COUNT].map(|()| row.as_mut().map_or(0, |row| row.int()))
}

fn number(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}
