//! Whole spans.

use std::collections::HashMap;
use std::sync::Arc;

use opentelemetry::trace::TraceId;

use crate::store::backend::Backend;
use crate::store::batch::id_number;
use crate::store::error::StoreError;
use crate::store::filter::SpanCursor;
use crate::store::span::{StoredResource, StoredSpan};
use crate::store::sql::{Dialect, Row, Sql};

/// A span's columns, in the order in which [`span`] reads them.
pub(super) fn columns(dialect: Dialect) -> String {
    let own = "e.resource_id, e.trace_id, e.span_id, e.parent_span_id, e.operation_name, e.service_name, e.kind, e.status, \
               e.error_message, e.error_type, e.start_ns, e.duration_ns, e.task_id, e.plan_id, e.agent_id, e.tool_id, \
               e.trace_state, e.flags, e.dropped_attributes, e.dropped_events, e.dropped_links, ";
    let rest = dialect.pick(
        "e.attributes::text, e.events::text, e.links::text, (extract(epoch from e.created_at) * 1000000)::int8",
        "e.attributes, e.events, e.links, e.created_us",
    );
    format!("{own}{rest}")
}

/// Resources by their number.
pub(super) type Resources = HashMap<i64, Arc<StoredResource>>;

fn span(row: &mut Row, resources: &Resources) -> StoredSpan {
    let resource_id = row.int();
    let mut span = StoredSpan {
        trace_id: row.trace(),
        span_id: row.span(),
        parent_span_id: row.span(),
        operation_name: row.text(),
        service_name: row.text(),
        kind: row.small(),
        status: row.small(),
        error_message: row.maybe_text(),
        error_type: row.maybe_text(),
        start_ns: row.int(),
        duration_ns: row.int(),
        ids: [row.maybe_text(), row.maybe_text(), row.maybe_text(), row.maybe_text()],
        resource: {
            let unknown = || Arc::new(StoredResource { id: resource_id, ..StoredResource::default() });
            resources.get(&resource_id).map_or_else(unknown, Arc::clone)
        },
        trace_state: row.maybe_text(),
        flags: row.number(),
        dropped_attributes: row.number(),
        dropped_events: row.number(),
        dropped_links: row.number(),
        attributes_json: row.text(),
        events_json: row.text(),
        links_json: row.text(),
        created_us: row.int(),
    };
    for empty in [&mut span.events_json, &mut span.links_json] {
        if empty.is_empty() {
            empty.push_str("[]");
        }
    }
    span
}

/// Runs a query over [`columns`] and finds the resources that go with the rows.
pub(super) async fn read<B: Backend>(backend: &B, sql: Sql) -> Result<Vec<StoredSpan>, StoreError> {
    let rows = backend.rows(sql).await?;
    let mut ids: Vec<i64> = rows.iter().map(Row::first_int).collect();
    ids.sort_unstable();
    ids.dedup();
    let mut resources = Resources::new();
    for some in ids.chunks(500) {
        let mut sql = Sql::new(backend.dialect(), "select resource_id, ");
        sql.push(sql.dialect.pick("resource::text, scope::text", "resource, scope"));
        sql.push(" from execution_trace_resources where resource_id in (");
        for (index, id) in some.iter().enumerate() {
            sql.push(if index > 0 { ", " } else { "" }).int(*id);
        }
        sql.push(")");
        for mut row in backend.rows(sql).await? {
            let (id, resource_json, scope_json) = (row.int(), row.text(), row.text());
            resources.insert(id, Arc::new(StoredResource { id, resource_json, scope_json }));
        }
    }
    Ok(rows.into_iter().map(|mut row| span(&mut row, &resources)).collect())
}

pub(in crate::store) async fn spans<B: Backend>(
    backend: &B,
    id: TraceId,
    after: Option<SpanCursor>,
    limit: usize,
) -> Result<Vec<StoredSpan>, StoreError> {
    // The trace's time leads to its partitions.
    let mut sql =
        Sql::new(backend.dialect(), "select start_ns, end_ns from trace_summaries where trace_id = ");
    sql.trace(id);
    let Some(mut summary) = backend.rows(sql).await?.into_iter().next() else { return Ok(Vec::new()) };
    let (start_ns, end_ns) = (summary.int(), summary.int());
    let mut sql = Sql::new(backend.dialect(), "select ");
    sql.push(&columns(backend.dialect())).push(" from execution_traces e where e.trace_id = ").trace(id);
    sql.starts("e.", ">=", start_ns).starts("e.", "<=", end_ns);
    if let Some(after) = after {
        sql.push(" and (e.start_ns > ").int(after.start_ns);
        sql.push(" or e.start_ns = ")
            .int(after.start_ns)
            .push(" and e.span_id > ")
            .int(id_number(after.span_id))
            .push(")");
    }
    sql.push(" order by e.start_ns, e.span_id limit ").int(i64::try_from(limit).unwrap_or(i64::MAX));
    read(backend, sql).await
}

impl StoredSpan {
    /// Its place among the spans of its trace.
    #[must_use]
    pub fn cursor(&self) -> SpanCursor {
        SpanCursor { start_ns: self.start_ns, span_id: self.span_id }
    }
}
