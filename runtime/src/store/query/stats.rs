//! Counts, error rates, percentiles, histograms.

use std::time::Duration;

use super::wanted::{Wanted, timed_out};
use crate::store::answer::{Latency, SpanStats, Stats};
use crate::store::backend::Backend;
use crate::store::error::StoreError;
use crate::store::filter::Filter;
use crate::store::span::nanoseconds;
use crate::store::sql::{Row, Sql};

/// What [`span_stats`] reads.
fn aggregates(sql: &Sql) -> String {
    let percentiles = sql.dialect.pick(
        "percentile_disc(array[0.5, 0.9, 0.95, 0.99]) within group (order by duration_ns)::text",
        "nearest_ranks(duration_ns)",
    );
    let sum = sql.dialect.pick("sum(duration_ns)::text", "sum_text(duration_ns)");
    format!(
        "count(*), count(case when status = 2 then 1 end), count(case when status = 2 and {} then 1 end), {sum}, {percentiles}",
        timed_out("")
    )
}

fn span_stats(row: &mut Row) -> SpanStats {
    let (count, errors, timeouts) = (row.count(), row.count(), row.count());
    let sum_ns = row.text().parse().unwrap_or(0);
    let text = row.text();
    let mut numbers = text.trim_matches(['{', '}']).split(',').map(|number| number.parse().unwrap_or(0));
    let percentiles_ns = [0; 4].map(|_: i64| numbers.next().unwrap_or(0));
    SpanStats { count, errors, timeouts, sum_ns, percentiles_ns }
}

fn of_spans(sql: &mut Sql, wanted: &Wanted) {
    sql.push(" from execution_traces where true");
    wanted.spans_in_range(sql, "");
    wanted.spans(sql, "");
}

/// What a row of [`stats`] counts, in its first column.
const OF_ALL: i64 = 0;
const OF_SERVICE: i64 = 1;
const OF_OPERATION: i64 = 2;
const OF_SLOT: i64 = 3;

pub(in crate::store) async fn stats<B: Backend>(
    backend: &B,
    filter: Filter,
    width: Option<Duration>,
) -> Result<Stats, StoreError> {
    let wanted = Wanted::new(backend, filter).await?;
    // The spans lie far apart on the disk: they are read once, and counted from what was read.
    let mut sql = Sql::new(
        backend.dialect(),
        "with w as materialized (select service_name, operation_name, status, error_type, start_ns, duration_ns, trace_id",
    );
    of_spans(&mut sql, &wanted);
    let aggregates = aggregates(&sql);
    sql.push(&format!(
        ") select {OF_ALL}, '', '', 0, {aggregates}, count(distinct trace_id) from w \
         union all select {OF_SERVICE}, service_name, '', 0, {aggregates}, 0 from w group by service_name \
         union all select {OF_OPERATION}, service_name, operation_name, 0, {aggregates}, 0 from w \
         group by service_name, operation_name"
    ));
    let width = width.map(|width| nanoseconds(width).max(1_000_000));
    if let Some(width) = width {
        sql.push(&format!(
            " union all select {OF_SLOT}, '', '', slot, {aggregates}, 0 from (select w.*, start_ns / "
        ));
        sql.int(width).push(" as slot from w) w group by slot");
    }
    let mut stats = Stats::default();
    for mut row in backend.rows(sql).await? {
        let (what, service, operation, slot) = (row.int(), row.text(), row.text(), row.int());
        let counted = span_stats(&mut row);
        match what {
            OF_SERVICE => stats.by_service.push((service, counted)),
            OF_OPERATION => stats.by_operation.push((service, operation, counted)),
            OF_SLOT => stats.by_time.push((slot.saturating_mul(width.unwrap_or(0)), counted)),
            _ => {
                stats.all = counted;
                stats.traces = row.count();
            }
        }
    }
    // Sorted here, because the databases sort by different rules.
    stats.by_service.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    stats.by_operation.sort_unstable_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
    stats.by_time.sort_unstable_by_key(|(start, _)| *start);
    Ok(stats)
}

/// The bounds of the span metrics, in milliseconds, so that both can be laid over each other.
const BOUNDS_MS: [u64; 16] =
    [2, 4, 6, 8, 10, 50, 100, 200, 400, 800, 1_000, 1_400, 2_000, 5_000, 10_000, 15_000];

pub(in crate::store) async fn latency<B: Backend>(
    backend: &B,
    filter: Filter,
) -> Result<Latency, StoreError> {
    let wanted = Wanted::new(backend, filter).await?;
    let mut sql = Sql::new(backend.dialect(), "select count(*), ");
    sql.push(sql.dialect.pick("sum(duration_ns)::text", "sum_text(duration_ns)"));
    let bounds = BOUNDS_MS.map(Duration::from_millis);
    for bound in bounds {
        sql.push(&format!(", count(case when duration_ns <= {} then 1 end)", nanoseconds(bound)));
    }
    of_spans(&mut sql, &wanted);
    let mut rows = backend.rows(sql).await?;
    let Some(row) = rows.first_mut() else { return Ok(Latency::default()) };
    let count = row.count();
    let sum_ns = row.text().parse().unwrap_or(0);
    let mut below = 0;
    let mut buckets = Vec::with_capacity(bounds.len() + 1);
    for bound in bounds {
        let up_to = row.count();
        buckets.push((Some(bound), up_to.saturating_sub(below)));
        below = up_to;
    }
    buckets.push((None, count.saturating_sub(below)));
    Ok(Latency { buckets, count, sum_ns })
}
