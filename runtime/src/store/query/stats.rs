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

pub(in crate::store) async fn stats<B: Backend>(
    backend: &B,
    filter: Filter,
    width: Option<Duration>,
) -> Result<Stats, StoreError> {
    let wanted = Wanted::new(backend, filter).await?;
    let mut stats = Stats::default();

    let mut sql = Sql::new(backend.dialect(), "select ");
    let aggregates = aggregates(&sql);
    sql.push(&aggregates).push(", count(distinct trace_id)");
    of_spans(&mut sql, &wanted);
    if let Some(row) = backend.rows(sql).await?.first_mut() {
        stats.all = span_stats(row);
        stats.traces = row.count();
    }

    let mut sql = Sql::new(backend.dialect(), "select service_name, ");
    sql.push(&aggregates);
    of_spans(&mut sql, &wanted);
    sql.push(" group by service_name");
    stats.by_service = backend.rows(sql).await?.iter_mut().map(|row| (row.text(), span_stats(row))).collect();
    stats.by_service.sort_unstable_by(|a, b| a.0.cmp(&b.0));

    let mut sql = Sql::new(backend.dialect(), "select service_name, operation_name, ");
    sql.push(&aggregates);
    of_spans(&mut sql, &wanted);
    sql.push(" group by service_name, operation_name");
    stats.by_operation =
        backend.rows(sql).await?.iter_mut().map(|row| (row.text(), row.text(), span_stats(row))).collect();
    stats.by_operation.sort_unstable_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));

    if let Some(width) = width {
        let width = nanoseconds(width).max(1_000_000);
        let mut sql = Sql::new(backend.dialect(), "select start_ns / ");
        sql.int(width).push(" as slot, ").push(&aggregates);
        of_spans(&mut sql, &wanted);
        sql.push(" group by slot order by slot");
        let rows = &mut backend.rows(sql).await?;
        stats.by_time =
            rows.iter_mut().map(|row| (row.int().saturating_mul(width), span_stats(row))).collect();
    }
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
