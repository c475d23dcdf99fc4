//! What each service has in a trace.

use opentelemetry::trace::TraceId;

use crate::store::answer::ServiceCount;
use crate::store::backend::Backend;
use crate::store::error::StoreError;
use crate::store::sql::Sql;

/// Ids in one statement.
const MOST_IDS: usize = 1_000;

pub(in crate::store) async fn service_counts<B: Backend>(
    backend: &B,
    traces: Vec<TraceId>,
) -> Result<Vec<ServiceCount>, StoreError> {
    let mut counts = Vec::new();
    for some in traces.chunks(MOST_IDS) {
        let ids = |sql: &mut Sql| {
            sql.push("trace_id in (");
            for (index, id) in some.iter().enumerate() {
                sql.push(if index > 0 { ", " } else { "" }).trace(*id);
            }
            sql.push(")");
        };
        // Their time leads to the partitions.
        let mut sql =
            Sql::new(backend.dialect(), "select min(start_ns), max(end_ns) from trace_summaries where ");
        ids(&mut sql);
        let Some(mut range) = backend.rows(sql).await?.into_iter().next() else { continue };
        let (Some(first), Some(last)) = (range.maybe_int(), range.maybe_int()) else { continue };

        let mut sql = Sql::new(
            backend.dialect(),
            "select trace_id, service_name, count(*), count(case when status = 2 then 1 end) from execution_traces where ",
        );
        ids(&mut sql);
        sql.starts("", ">=", first).starts("", "<=", last);
        sql.push(" group by trace_id, service_name");
        counts.extend(backend.rows(sql).await?.iter_mut().map(|row| ServiceCount {
            trace_id: row.trace(),
            service: row.text(),
            spans: row.count(),
            errors: row.count(),
        }));
    }
    // Sorted here, because the databases sort by different rules.
    counts.sort_unstable_by(|a, b| {
        (a.trace_id.to_bytes(), &a.service).cmp(&(b.trace_id.to_bytes(), &b.service))
    });
    Ok(counts)
}
