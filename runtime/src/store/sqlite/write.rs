//! Writing: a batch is one transaction.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::checkpoint::{Checkpoint, LENGTHS};
use super::connection::{failed, open_to_write, patiently, version};
use super::{MIGRATIONS, maintain};
use crate::store::batch::{Fate, Fitting, Known, News, Summary, id_number, inserted, summaries};
use crate::store::error::StoreError;
use crate::store::migration::{missing, newest};
use crate::store::span::StoredSpan;

/// The connection that writes, and what it knows to be written.
pub(super) struct Writer {
    connection: Connection,
    checkpoint: Checkpoint,
    known: Known,
}

impl Writer {
    pub(super) fn new(path: &Path) -> Result<Self, StoreError> {
        let connection = open_to_write(path)?;
        let checkpoint = Checkpoint::start(path, &connection, LENGTHS)?;
        Ok(Self { connection, checkpoint, known: Known::default() })
    }

    /// Of several processes at once one works and the others wait, in `begin immediate`.
    pub(super) fn migrate(&mut self) -> Result<i32, StoreError> {
        if version(&self.connection).map_err(failed)? > newest(MIGRATIONS) {
            return version(&self.connection).map_err(failed);
        }
        patiently(|| {
            self.connection.execute_batch(
                "create table if not exists throughline_migrations (version integer primary key, checksum text not null, \
                 at text not null default (strftime('%Y-%m-%dT%H:%M:%fZ')))",
            )
        })?;
        let transaction =
            patiently(|| Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate))?;
        let applied = {
            let mut statement = transaction
                .prepare("select version, checksum from throughline_migrations")
                .map_err(failed)?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).map_err(failed)?;
            rows.collect::<rusqlite::Result<Vec<(i32, String)>>>().map_err(failed)?
        };
        for migration in missing(MIGRATIONS, &applied)? {
            transaction.execute_batch(migration.sql).map_err(failed)?;
            let sql = "insert into throughline_migrations (version, checksum) values (?1, ?2)";
            transaction.execute(sql, params![migration.version, migration.checksum()]).map_err(failed)?;
        }
        transaction.commit().map_err(failed)?;
        version(&self.connection).map_err(failed)
    }

    pub(super) fn write(
        &mut self,
        spans: &[StoredSpan],
        now_ns: i64,
        retention: Option<Duration>,
    ) -> Result<Vec<Fate>, StoreError> {
        let fitting = Fitting::new(spans, now_ns, retention);
        let transaction =
            patiently(|| Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate))?;
        let news = self.known.news(fitting.spans.iter().copied(), now_ns);
        let fates = write(&transaction, &fitting.spans, &news, now_ns).map_err(failed)?;
        transaction.commit().map_err(failed)?;
        self.known.learn(news);
        self.checkpoint.after_commit(&self.connection);
        Ok(fitting.all(&fates))
    }

    /// Removes a slice of what is too old or too much; how many traces.
    pub(super) fn remove(
        &mut self,
        now_ns: i64,
        retention: Option<Duration>,
        most_bytes: u64,
    ) -> Result<u64, StoreError> {
        let removed = maintain::slice(&mut self.connection, now_ns, retention, most_bytes)?;
        self.checkpoint.after_commit(&self.connection);
        Ok(removed)
    }
}

fn write(
    transaction: &Transaction<'_>,
    spans: &[&StoredSpan],
    news: &News,
    now_ns: i64,
) -> rusqlite::Result<Vec<Fate>> {
    let now_us = now_ns / 1_000;
    let mut fates = Vec::with_capacity(spans.len());
    let mut insert = transaction.prepare_cached(
        "insert into execution_traces (trace_id, span_id, parent_span_id, operation_name, service_name, kind, status, \
         error_message, error_type, start_ns, duration_ns, task_id, plan_id, agent_id, tool_id, attributes, events, links, \
         resource_id, trace_state, flags, dropped_attributes, dropped_events, dropped_links, created_us) \
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, \
         ?24, ?25) on conflict (trace_id, span_id, start_ns) do nothing",
    )?;
    for span in spans {
        let [task, plan, agent, tool] = &span.ids;
        let changed = insert.execute(params![
            span.trace_id.to_bytes(),
            id_number(span.span_id),
            (!span.is_root()).then(|| id_number(span.parent_span_id)),
            span.operation_name,
            span.service_name,
            span.kind,
            span.status,
            span.error_message,
            span.error_type,
            span.start_ns,
            span.duration_ns,
            task,
            plan,
            agent,
            tool,
            span.attributes_json,
            unless_empty(&span.events_json),
            unless_empty(&span.links_json),
            span.resource.id,
            span.trace_state,
            span.flags,
            span.dropped_attributes,
            span.dropped_events,
            span.dropped_links,
            now_us,
        ])?;
        fates.push(if changed == 1 { Fate::Inserted } else { Fate::Duplicate });
    }
    for summary in summaries(inserted(spans, &fates)) {
        upsert(transaction, &summary)?;
    }
    let mut operation = transaction.prepare_cached(
        "insert into trace_operations (service, operation, kind, last_seen_us) values (?1, ?2, ?3, ?4) \
         on conflict do update set last_seen_us = excluded.last_seen_us",
    )?;
    for (service, name, kind) in &news.operations {
        operation.execute(params![service, name, kind, now_us])?;
    }
    let mut resource = transaction.prepare_cached(
        "insert into execution_trace_resources (resource_id, resource, scope, last_seen_us) values (?1, ?2, ?3, ?4) \
         on conflict do update set last_seen_us = excluded.last_seen_us",
    )?;
    for row in &news.resources {
        resource.execute(params![row.id, row.resource_json, row.scope_json, now_us])?;
    }
    Ok(fates)
}

/// Most spans have neither events nor links.
fn unless_empty(json: &str) -> Option<&str> {
    (json != "[]").then_some(json)
}

fn upsert(transaction: &Transaction<'_>, summary: &Summary<'_>) -> rusqlite::Result<()> {
    let mut statement = transaction.prepare_cached(
        "insert into trace_summaries as t (trace_id, start_ns, end_ns, root_is_stored, root_start_ns, root_span_id, \
         root_service, root_operation, root_status, span_count, error_count, services, attributes) \
         values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13) \
         on conflict (trace_id) do update set \
         start_ns = min(t.start_ns, excluded.start_ns), end_ns = max(t.end_ns, excluded.end_ns), \
         (root_is_stored, root_start_ns, root_span_id, root_service, root_operation, root_status) = \
         (select case when b then excluded.root_is_stored else t.root_is_stored end, \
         case when b then excluded.root_start_ns else t.root_start_ns end, \
         case when b then excluded.root_span_id else t.root_span_id end, \
         case when b then excluded.root_service else t.root_service end, \
         case when b then excluded.root_operation else t.root_operation end, \
         case when b then excluded.root_status else t.root_status end from (select \
         (-excluded.root_is_stored, excluded.root_start_ns, excluded.root_span_id) < \
         (-t.root_is_stored, t.root_start_ns, t.root_span_id) as b)), \
         span_count = t.span_count + excluded.span_count, error_count = t.error_count + excluded.error_count, \
         services = case when t.services = excluded.services then t.services else (select json_group_array(value) from \
         (select value from json_each(t.services) union select value from json_each(excluded.services))) end, \
         attributes = bits_of_both(t.attributes, excluded.attributes)",
    )?;
    let head = &summary.head;
    let services: Vec<&str> = summary.services.iter().copied().collect();
    statement.execute(params![
        summary.trace_id,
        summary.start_ns,
        summary.end_ns,
        i64::from(head.is_root),
        head.start_ns,
        head.span_id,
        head.service,
        head.operation,
        head.status,
        summary.span_count,
        summary.error_count,
        serde_json::to_string(&services).unwrap_or_else(|_| "[]".to_owned()),
        summary.attributes.as_bytes(),
    ])?;
    Ok(())
}
