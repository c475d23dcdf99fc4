//! The small tables beside the spans, in the same transaction.

use std::fmt::Write as _;

use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error};

use super::values::{Bits, Jsonb, Uuid};
use crate::store::batch::{News, Summary};

/// Adds what the inserted spans say of their traces.
pub(super) async fn upsert(client: &Client, summaries: &[Summary<'_>]) -> Result<(), Error> {
    let all = |of: &dyn Fn(&Summary<'_>) -> i64| summaries.iter().map(of).collect::<Vec<i64>>();
    let texts = |of: &dyn Fn(&Summary<'_>) -> String| summaries.iter().map(of).collect::<Vec<String>>();
    let trace_ids: Vec<Uuid> = summaries.iter().map(|summary| Uuid(summary.trace_id)).collect();
    let statuses: Vec<i16> = summaries.iter().map(|summary| summary.head.status).collect();
    let roots: Vec<bool> = summaries.iter().map(|summary| summary.head.is_root).collect();
    let (starts, ends) = (all(&|s| s.start_ns), all(&|s| s.end_ns));
    let (root_starts, root_spans) = (all(&|s| s.head.start_ns), all(&|s| s.head.span_id));
    let (services, operations) =
        (texts(&|s| s.head.service.to_owned()), texts(&|s| s.head.operation.to_owned()));
    let (counts, errors) = (all(&|s| s.span_count), all(&|s| s.error_count));
    let lists = texts(&|s| array(s.services.iter().copied()));
    let attributes: Vec<Bits> = summaries.iter().map(|summary| Bits(summary.attributes)).collect();
    let params: [(&(dyn ToSql + Sync), Type); 13] = [
        (&trace_ids, Type::UUID_ARRAY),
        (&starts, Type::INT8_ARRAY),
        (&ends, Type::INT8_ARRAY),
        (&roots, Type::BOOL_ARRAY),
        (&root_starts, Type::INT8_ARRAY),
        (&root_spans, Type::INT8_ARRAY),
        (&services, Type::TEXT_ARRAY),
        (&operations, Type::TEXT_ARRAY),
        (&statuses, Type::INT2_ARRAY),
        (&counts, Type::INT8_ARRAY),
        (&errors, Type::INT8_ARRAY),
        (&lists, Type::TEXT_ARRAY),
        (&attributes, Type::VARBIT_ARRAY),
    ];
    // Which head is preferred is decided as `Head::rank` decides it within a batch.
    client
        .query_typed(
            "insert into trace_summaries as t (trace_id, start_ns, end_ns, root_is_stored, root_start_ns, root_span_id, \
             root_service, root_operation, root_status, span_count, error_count, services, attributes) \
             select a, b, c, d, e, f, g, h, i, j, k, l::text[], m from unnest($1::uuid[], $2::int8[], $3::int8[], $4::bool[], \
             $5::int8[], $6::int8[], $7::text[], $8::text[], $9::int2[], $10::int8[], $11::int8[], $12::text[], $13::varbit[]) \
             as u (a, b, c, d, e, f, g, h, i, j, k, l, m) \
             on conflict (trace_id) do update set start_ns = least(t.start_ns, excluded.start_ns), \
             end_ns = greatest(t.end_ns, excluded.end_ns), \
             (root_is_stored, root_start_ns, root_span_id, root_service, root_operation, root_status) = (select \
             case when w then excluded.root_is_stored else t.root_is_stored end, \
             case when w then excluded.root_start_ns else t.root_start_ns end, \
             case when w then excluded.root_span_id else t.root_span_id end, \
             case when w then excluded.root_service else t.root_service end, \
             case when w then excluded.root_operation else t.root_operation end, \
             case when w then excluded.root_status else t.root_status end from (select \
             (not excluded.root_is_stored, excluded.root_start_ns, excluded.root_span_id) < \
             (not t.root_is_stored, t.root_start_ns, t.root_span_id) as w) better), \
             span_count = t.span_count + excluded.span_count, error_count = t.error_count + excluded.error_count, \
             services = case when t.services @> excluded.services then t.services else \
             array(select distinct s from unnest(t.services || excluded.services) s order by s) end, \
             attributes = t.attributes | excluded.attributes",
            &params,
        )
        .await?;
    Ok(())
}

/// The literal of a text array.
fn array<'a>(items: impl Iterator<Item = &'a str>) -> String {
    let mut out = String::from("{");
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push(',');
        }
        out.push('"');
        for character in item.chars() {
            if matches!(character, '"' | '\\') {
                out.push('\\');
            }
            let _ = out.write_char(character);
        }
        out.push('"');
    }
    out.push('}');
    out
}

/// Notes operations and resources.
pub(super) async fn note(client: &Client, news: &News) -> Result<(), Error> {
    if !news.operations.is_empty() {
        let services: Vec<&str> = news.operations.iter().map(|(service, _, _)| service.as_str()).collect();
        let operations: Vec<&str> = news.operations.iter().map(|(_, name, _)| name.as_str()).collect();
        let kinds: Vec<i16> = news.operations.iter().map(|(_, _, kind)| *kind).collect();
        let params: [(&(dyn ToSql + Sync), Type); 3] =
            [(&services, Type::TEXT_ARRAY), (&operations, Type::TEXT_ARRAY), (&kinds, Type::INT2_ARRAY)];
        client
            .query_typed(
                "insert into trace_operations (service, operation, kind, last_seen) \
                 select s, o, k, now() from unnest($1::text[], $2::text[], $3::int2[]) as u (s, o, k) \
                 on conflict (service, operation, kind) do update set last_seen = excluded.last_seen",
                &params,
            )
            .await?;
    }
    if !news.resources.is_empty() {
        let ids: Vec<i64> = news.resources.iter().map(|resource| resource.id).collect();
        let resources: Vec<Jsonb<'_>> = news.resources.iter().map(|r| Jsonb(&r.resource_json)).collect();
        let scopes: Vec<Jsonb<'_>> = news.resources.iter().map(|r| Jsonb(&r.scope_json)).collect();
        let params: [(&(dyn ToSql + Sync), Type); 3] =
            [(&ids, Type::INT8_ARRAY), (&resources, Type::JSONB_ARRAY), (&scopes, Type::JSONB_ARRAY)];
        client
            .query_typed(
                "insert into execution_trace_resources (resource_id, resource, scope, last_seen) \
                 select i, r, s, now() from unnest($1::int8[], $2::jsonb[], $3::jsonb[]) as u (i, r, s) \
                 on conflict (resource_id) do update set last_seen = excluded.last_seen",
                &params,
            )
            .await?;
    }
    Ok(())
}
