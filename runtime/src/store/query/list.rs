//! The list of traces, newest first, and one trace.
//!
//! What is asked of a trace (its id, its time) is asked of its summary. What is asked of a span goes one of two ways:
//!
//! 1. Where an index leads to the spans, its newest entries are read. If they are all there are, or if enough traces begin
//!    after the oldest of them, the answer is known: a trace that begins at or after some time has all its spans after it.
//! 2. Else the summaries are walked, newest first, and where a summary does not rule it out its trace is asked for such a
//!    span.

use std::collections::HashMap;

use opentelemetry::trace::TraceId;

use super::count::{Count, count};
use super::spans::{columns, read};
use super::wanted::Wanted;
use crate::store::answer::{TraceList, TraceSummary};
use crate::store::backend::Backend;
use crate::store::error::StoreError;
use crate::store::filter::{Filter, Page};
use crate::store::span::StoredSpan;
use crate::store::sql::{Row, Sql};

/// Entries of an index that are read: at first, and before the other way is taken.
const MOST_ENTRIES: [usize; 2] = [400, 3_000];

pub(in crate::store) async fn list<B: Backend>(
    backend: &B,
    filter: Filter,
    page: Page,
) -> Result<TraceList, StoreError> {
    let wanted = Wanted::new(backend, filter).await?;
    if wanted.is_nothing() {
        return Ok(TraceList { total: page.count.then_some(0), ..TraceList::default() });
    }
    let mut found = None;
    if wanted.filter.asks_for_a_span() && wanted.filter.is_indexed() {
        for most in MOST_ENTRIES {
            found = by_index(backend, &wanted, &page, most).await?;
            if found.is_some() {
                break;
            }
        }
    }
    let found = match found {
        Some(found) => found,
        None => by_walk(backend, &wanted, &page).await?,
    };
    finish(backend, found, &page).await
}

/// Summaries of one page, one more than it takes if there are more, and the count.
struct Found {
    summaries: Vec<TraceSummary>,
    total: Option<Count>,
}

/// The summary's columns, in the order in which [`summary`] reads them.
fn summary_columns(sql: &Sql) -> &'static str {
    sql.dialect.pick(
        "s.trace_id, s.start_ns, s.end_ns, s.span_count, s.error_count, array_to_json(s.services)::text",
        "s.trace_id, s.start_ns, s.end_ns, s.span_count, s.error_count, s.services",
    )
}

fn summary(row: &mut Row) -> TraceSummary {
    let mut summary = TraceSummary {
        trace_id: row.trace(),
        start_ns: row.int(),
        end_ns: row.int(),
        head: None,
        span_count: row.count(),
        error_count: row.count(),
        orphan_count: 0,
        services: serde_json::from_str(&row.text()).unwrap_or_default(),
    };
    summary.services.sort_unstable();
    summary
}

async fn by_index<B: Backend>(
    backend: &B,
    wanted: &Wanted,
    page: &Page,
    most: usize,
) -> Result<Option<Found>, StoreError> {
    let most_rows = i64::try_from(most).unwrap_or(i64::MAX);
    let mut sql = Sql::new(backend.dialect(), "select start_ns, trace_id from (");
    for (number, one) in wanted.alternatives().iter().enumerate() {
        sql.push(if number > 0 { " union all " } else { "" });
        sql.push("select start_ns, trace_id from (select start_ns, trace_id from execution_traces");
        one.index(&mut sql);
        sql.push(" where true");
        one.spans(&mut sql, "");
        // A trace that begins in time has its spans later. There is no such bound on the other side.
        if let Some(from) = one.begins() {
            sql.starts("", ">=", from);
        }
        newest_first(&mut sql).int(most_rows).push(&format!(") newest_{number}"));
    }
    sql.push(") newest order by start_ns desc limit ").int(most_rows);
    let mut entries = backend.rows(sql).await?;
    let is_all = entries.len() < most;
    let mut known_from = i64::MIN;
    let mut ids: Vec<TraceId> = Vec::with_capacity(entries.len());
    for row in &mut entries {
        let start_ns = row.int();
        if !is_all {
            // The next entry may be of the same microsecond.
            known_from = start_ns.saturating_add(1_000);
        }
        ids.push(row.trace());
    }
    ids.sort_unstable_by_key(|id| id.to_bytes());
    ids.dedup();
    let mut summaries = summaries_of(backend, &ids, wanted).await?;
    let known = summaries.iter().filter(|summary| summary.start_ns >= known_from).count() as u64;
    summaries.retain(|summary| {
        summary.start_ns >= known_from
            && page.after.is_none_or(|after| is_after(summary, (after.start_ns, after.trace_id)))
    });
    let wanted_rows = page.offset.saturating_add(page.limit).saturating_add(1);
    if !is_all && summaries.len() < wanted_rows {
        return Ok(None);
    }
    let total = match (page.count, is_all) {
        (false, _) => None,
        (true, true) => Some((known, false)),
        (true, false) => Some(count(backend, wanted).await?),
    };
    let summaries = summaries.into_iter().skip(page.offset).take(page.limit.saturating_add(1)).collect();
    Ok(Some(Found { summaries, total }))
}

/// The order of the indexes.
pub(super) fn newest_first(sql: &mut Sql) -> &mut Sql {
    sql.push(sql.dialect.pick(" order by start_time desc limit ", " order by start_ns desc limit "))
}

/// Whether a summary comes after this place in the list: later in the list is earlier in time.
fn is_after(summary: &TraceSummary, (start_ns, trace_id): (i64, TraceId)) -> bool {
    (summary.start_ns, summary.trace_id.to_bytes()) < (start_ns, trace_id.to_bytes())
}

/// The summaries of these traces that begin in time, newest first.
async fn summaries_of<B: Backend>(
    backend: &B,
    ids: &[TraceId],
    wanted: &Wanted,
) -> Result<Vec<TraceSummary>, StoreError> {
    let mut summaries = Vec::with_capacity(ids.len());
    for some in ids.chunks(1_000) {
        let mut sql = Sql::new(backend.dialect(), "select ");
        sql.push(summary_columns(&sql)).push(" from trace_summaries s where s.trace_id in (");
        for (index, id) in some.iter().enumerate() {
            sql.push(if index > 0 { ", " } else { "" }).trace(*id);
        }
        sql.push(")");
        in_range(&mut sql, wanted);
        summaries.extend(backend.rows(sql).await?.iter_mut().map(summary));
    }
    summaries
        .sort_unstable_by_key(|summary| std::cmp::Reverse((summary.start_ns, summary.trace_id.to_bytes())));
    Ok(summaries)
}

/// ` and .. and ..` on summaries: everything that is not asked of a span.
pub(super) fn in_range(sql: &mut Sql, wanted: &Wanted) {
    if let Some(id) = wanted.filter.trace_id {
        sql.push(" and s.trace_id = ").trace(id);
    }
    if let Some(from) = wanted.begins() {
        sql.push(" and s.start_ns >= ").int(from);
    }
    if let Some(to) = wanted.ends() {
        sql.push(" and s.start_ns < ").int(to);
    }
    if let Some((begins, from, to)) = wanted.around_spans() {
        sql.push(" and s.start_ns >= ").int(begins).push(" and s.start_ns < ").int(to);
        sql.push(" and s.end_ns >= ").int(from);
    }
}

/// `exists (..)`: whether a trace has such a span.
pub(super) fn span_exists(sql: &mut Sql, wanted: &Wanted) {
    // Without statistics SQLite would take the index of the condition, and read all of it for each trace.
    let index = sql.dialect.pick("", " indexed by execution_traces_span");
    sql.push("exists (select 1 from execution_traces e").push(index).push(" where e.trace_id = s.trace_id");
    // PostgreSQL then looks into the partitions of the trace's own time alone.
    sql.push(sql.dialect.pick(
        " and e.start_time >= timestamptz 'epoch' + (s.start_ns / 1000) * interval '1 microsecond' \
         and e.start_time <= timestamptz 'epoch' + (s.end_ns / 1000) * interval '1 microsecond'",
        "",
    ));
    wanted.spans(sql, "e.");
    sql.push(")");
}

async fn by_walk<B: Backend>(backend: &B, wanted: &Wanted, page: &Page) -> Result<Found, StoreError> {
    let mut sql = Sql::new(backend.dialect(), "select ");
    sql.push(summary_columns(&sql)).push(" from trace_summaries s where true");
    in_range(&mut sql, wanted);
    if let Some(after) = page.after {
        sql.push(" and (s.start_ns < ").int(after.start_ns).push(" or s.start_ns = ").int(after.start_ns);
        sql.push(" and s.trace_id < ").trace(after.trace_id).push(")");
        // The index is on both columns together; this half of the condition is its range.
        sql.push(" and s.start_ns <= ").int(after.start_ns);
    }
    wanted.told_by_summaries(&mut sql);
    if wanted.filter.asks_for_a_span() && !wanted.is_told_by_summaries() {
        sql.push(" and ");
        span_exists(&mut sql, wanted);
    }
    sql.push(" order by s.start_ns desc, s.trace_id desc limit ");
    sql.int(i64::try_from(page.limit.saturating_add(1)).unwrap_or(i64::MAX));
    sql.push(" offset ").int(i64::try_from(page.offset).unwrap_or(i64::MAX));
    let summaries = backend.rows(sql).await?.iter_mut().map(summary).collect();
    let total = if page.count { Some(count(backend, wanted).await?) } else { None };
    Ok(Found { summaries, total })
}

async fn finish<B: Backend>(backend: &B, found: Found, page: &Page) -> Result<TraceList, StoreError> {
    let Found { summaries: mut traces, total } = found;
    let more = traces.len() > page.limit;
    traces.truncate(page.limit);
    let next = traces.last().filter(|_| more).map(TraceSummary::cursor);
    // There are as many as can be seen, whatever the bounded count says.
    let seen = page.offset.saturating_add(traces.len()).saturating_add(usize::from(more));
    let seen = if page.after.is_none() && !traces.is_empty() { seen as u64 } else { 0 };
    complete(backend, &mut traces).await?;
    Ok(TraceList {
        traces,
        total: total.map(|(total, _)| total.max(seen)),
        total_capped: total.is_some_and(|(_, capped)| capped),
        next,
    })
}

pub(in crate::store) async fn trace<B: Backend>(
    backend: &B,
    id: TraceId,
) -> Result<Option<TraceSummary>, StoreError> {
    let mut sql = Sql::new(backend.dialect(), "select ");
    sql.push(summary_columns(&sql)).push(" from trace_summaries s where s.trace_id = ").trace(id);
    let mut found: Vec<TraceSummary> = backend.rows(sql).await?.iter_mut().map(summary).collect();
    complete(backend, &mut found).await?;
    Ok(found.pop())
}

pub(in crate::store) async fn traces<B: Backend>(
    backend: &B,
    ids: Vec<TraceId>,
) -> Result<Vec<TraceSummary>, StoreError> {
    let wanted = Wanted::new(backend, Filter::new()).await?;
    let mut found = summaries_of(backend, &ids, &wanted).await?;
    // There is a limit on the parameters of one statement.
    for some in found.chunks_mut(1_000) {
        complete(backend, some).await?;
    }
    Ok(found)
}

/// Adds the head spans and the orphans, in one query each.
async fn complete<B: Backend>(backend: &B, traces: &mut [TraceSummary]) -> Result<(), StoreError> {
    let (Some(first), Some(last)) =
        (traces.iter().map(|trace| trace.start_ns).min(), traces.iter().map(|trace| trace.end_ns).max())
    else {
        return Ok(());
    };
    let ids = |sql: &mut Sql, column: &str| {
        sql.push(column).push(" in (");
        for (index, trace) in traces.iter().enumerate() {
            sql.push(if index > 0 { ", " } else { "" }).trace(trace.trace_id);
        }
        sql.push(")");
    };

    let mut sql = Sql::new(backend.dialect(), "select ");
    sql.push(&columns(backend.dialect()));
    sql.push(" from trace_summaries s join execution_traces e on e.trace_id = s.trace_id and e.span_id = s.root_span_id where ");
    ids(&mut sql, "s.trace_id");
    sql.starts("e.", ">=", first).starts("e.", "<=", last);
    let mut heads: HashMap<TraceId, StoredSpan> =
        read(backend, sql).await?.into_iter().map(|span| (span.trace_id, span)).collect();

    let mut sql = Sql::new(backend.dialect(), "select c.trace_id, count(*) from execution_traces c where ");
    ids(&mut sql, "c.trace_id");
    sql.starts("c.", ">=", first).starts("c.", "<=", last);
    sql.push(" and c.parent_span_id is not null and not exists (select 1 from execution_traces p where p.trace_id = c.trace_id and p.span_id = c.parent_span_id");
    sql.starts("p.", ">=", first).starts("p.", "<=", last);
    sql.push(") group by c.trace_id");
    let orphans: HashMap<TraceId, u64> =
        backend.rows(sql).await?.iter_mut().map(|row| (row.trace(), row.count())).collect();

    for trace in traces {
        trace.head = heads.remove(&trace.trace_id);
        trace.orphan_count = orphans.get(&trace.trace_id).copied().unwrap_or(0);
    }
    Ok(())
}
