//! Who calls whom.

use std::time::{Duration, SystemTime};

use crate::store::answer::Edge;
use crate::store::backend::Backend;
use crate::store::error::StoreError;
use crate::store::span::{nanoseconds, time_ns};
use crate::store::sql::{Row, Sql};

/// Longer ranges would join more spans than anyone waits for.
const LONGEST: Duration = Duration::from_secs(7 * 86_400);

/// A parent may have begun this long before the range does.
const LONGEST_CALL: Duration = Duration::from_secs(86_400);

/// What names the other side of a call that it makes no spans of.
const PEERS: [&str; 4] =
    ["service.peer.name", "db.namespace", "messaging.destination.name", "server.address"];

pub(in crate::store) async fn dependencies<B: Backend>(
    backend: &B,
    from: SystemTime,
    to: SystemTime,
) -> Result<Vec<Edge>, StoreError> {
    let to = time_ns(to);
    let from = time_ns(from).max(to.saturating_sub(nanoseconds(LONGEST)));
    let percentiles = |sql: &Sql, alias: &str| {
        let (before, after) = sql.dialect.pick(
            ("percentile_disc(array[0.95]) within group (order by ", ")::text"),
            ("nearest_ranks(", ")"),
        );
        format!("{before}{alias}duration_ns{after}")
    };

    // Called services that make spans.
    let mut sql = Sql::new(
        backend.dialect(),
        "select p.service_name, c.service_name, count(*), count(case when c.status = 2 then 1 end), ",
    );
    let p95 = percentiles(&sql, "c.");
    sql.push(&p95);
    sql.push(" from execution_traces c join execution_traces p on p.trace_id = c.trace_id and p.span_id = c.parent_span_id");
    sql.push(" where p.service_name <> c.service_name");
    sql.starts("c.", ">=", from).starts("c.", "<", to);
    sql.starts("p.", ">=", from.saturating_sub(nanoseconds(LONGEST_CALL)));
    sql.push(" group by p.service_name, c.service_name");
    let mut edges: Vec<Edge> = backend.rows(sql).await?.iter_mut().map(edge).collect();

    // Those that make none.
    let mut sql = Sql::new(backend.dialect(), "select p.service_name, ");
    let peer = peer(&sql);
    sql.push(&peer).push(" as peer, count(*), count(case when p.status = 2 then 1 end), ");
    let p95 = percentiles(&sql, "p.");
    sql.push(&p95).push(" from execution_traces p where p.kind in (3, 4)");
    sql.starts("p.", ">=", from).starts("p.", "<", to);
    sql.push(" and not exists (select 1 from execution_traces c where c.trace_id = p.trace_id and c.parent_span_id = p.span_id and c.service_name <> p.service_name");
    sql.starts("c.", ">=", from);
    sql.push(") and ").push(&peer).push(" is not null group by p.service_name, peer");
    edges.extend(backend.rows(sql).await?.iter_mut().map(edge));

    edges.sort_unstable_by(|a, b| (&a.parent, &a.child).cmp(&(&b.parent, &b.child)));
    Ok(merged(edges))
}

fn peer(sql: &Sql) -> String {
    let one = |key: &str| {
        sql.dialect
            .pick(format!("p.attributes->>'{key}'"), format!("json_extract(p.attributes, '$.\"{key}\"')"))
    };
    format!("coalesce({})", PEERS.map(one).join(", "))
}

fn edge(row: &mut Row) -> Edge {
    let (parent, child, calls, errors) = (row.text(), row.text(), row.count(), row.count());
    let text = row.text();
    // SQLite's function gives 50, 90, 95 and 99; PostgreSQL was asked for one.
    let numbers: Vec<i64> =
        text.trim_matches(['{', '}']).split(',').map(|number| number.parse().unwrap_or(0)).collect();
    let p95_ns = numbers.get(2).or(numbers.first()).copied().unwrap_or(0);
    Edge { parent, child, calls, errors, p95_ns }
}

/// A peer may be named like a service that makes spans: then some calls were seen from one side only.
fn merged(edges: Vec<Edge>) -> Vec<Edge> {
    let mut merged: Vec<Edge> = Vec::with_capacity(edges.len());
    for edge in edges {
        match merged.last_mut() {
            Some(last) if (&last.parent, &last.child) == (&edge.parent, &edge.child) => {
                last.calls += edge.calls;
                last.errors += edge.errors;
                last.p95_ns = last.p95_ns.max(edge.p95_ns);
            }
            _ => merged.push(edge),
        }
    }
    merged
}
