//! The way around COPY: arrays, unnested, past what is there already. It tells which rows were inserted.

use std::collections::HashSet;

use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error};

use super::copy::COLUMNS;
use super::values::{Jsonb, Time, Uuid};
use crate::store::batch::{Fate, id_number};
use crate::store::span::StoredSpan;

/// Inserts what is not there.
pub(super) async fn insert(client: &Client, spans: &[&StoredSpan]) -> Result<Vec<Fate>, Error> {
    fn all<'s, T>(spans: &[&'s StoredSpan], of: impl Fn(&'s StoredSpan) -> T) -> Vec<T> {
        spans.iter().copied().map(of).collect()
    }
    fn list(json: &str) -> Option<Jsonb<'_>> {
        (json != "[]").then_some(Jsonb(json))
    }
    type Column<'c> = (Box<dyn ToSql + Sync + Send + 'c>, Type, &'static str);
    fn id(index: usize) -> impl Fn(&StoredSpan) -> Option<&str> {
        move |span| span.ids.get(index).and_then(Option::as_deref)
    }

    let columns: Vec<Column<'_>> = vec![
        (Box::new(all(spans, |s| Uuid(s.trace_id.to_bytes()))), Type::UUID_ARRAY, "uuid[]"),
        (Box::new(all(spans, |s| id_number(s.span_id))), Type::INT8_ARRAY, "int8[]"),
        (
            Box::new(all(spans, |s| (!s.is_root()).then(|| id_number(s.parent_span_id)))),
            Type::INT8_ARRAY,
            "int8[]",
        ),
        (Box::new(all(spans, |s| s.start_ns)), Type::INT8_ARRAY, "int8[]"),
        (Box::new(all(spans, |s| s.duration_ns)), Type::INT8_ARRAY, "int8[]"),
        (Box::new(all(spans, |s| Time(s.start_ns))), Type::TIMESTAMPTZ_ARRAY, "timestamptz[]"),
        (Box::new(all(spans, |s| Time(s.end_ns()))), Type::TIMESTAMPTZ_ARRAY, "timestamptz[]"),
        (Box::new(all(spans, |s| s.resource.id)), Type::INT8_ARRAY, "int8[]"),
        (Box::new(all(spans, |s| s.flags)), Type::INT4_ARRAY, "int4[]"),
        (Box::new(all(spans, |s| s.dropped_attributes)), Type::INT4_ARRAY, "int4[]"),
        (Box::new(all(spans, |s| s.dropped_events)), Type::INT4_ARRAY, "int4[]"),
        (Box::new(all(spans, |s| s.dropped_links)), Type::INT4_ARRAY, "int4[]"),
        (Box::new(all(spans, |s| s.kind)), Type::INT2_ARRAY, "int2[]"),
        (Box::new(all(spans, |s| s.status)), Type::INT2_ARRAY, "int2[]"),
        (Box::new(all(spans, |s| s.service_name.as_str())), Type::TEXT_ARRAY, "text[]"),
        (Box::new(all(spans, |s| s.operation_name.as_str())), Type::TEXT_ARRAY, "text[]"),
        (Box::new(all(spans, |s| s.error_message.as_deref())), Type::TEXT_ARRAY, "text[]"),
        (Box::new(all(spans, |s| s.error_type.as_deref())), Type::TEXT_ARRAY, "text[]"),
        (Box::new(all(spans, id(0))), Type::TEXT_ARRAY, "text[]"),
        (Box::new(all(spans, id(1))), Type::TEXT_ARRAY, "text[]"),
        (Box::new(all(spans, id(2))), Type::TEXT_ARRAY, "text[]"),
        (Box::new(all(spans, id(3))), Type::TEXT_ARRAY, "text[]"),
        (Box::new(all(spans, |s| s.trace_state.as_deref())), Type::TEXT_ARRAY, "text[]"),
        (Box::new(all(spans, |s| Jsonb(&s.attributes_json))), Type::JSONB_ARRAY, "jsonb[]"),
        (Box::new(all(spans, |s| list(&s.events_json))), Type::JSONB_ARRAY, "jsonb[]"),
        (Box::new(all(spans, |s| list(&s.links_json))), Type::JSONB_ARRAY, "jsonb[]"),
    ];
    let places: Vec<String> =
        columns.iter().enumerate().map(|(index, (_, _, kind))| format!("${}::{kind}", index + 1)).collect();
    let sql = format!(
        "insert into execution_traces ({COLUMNS}) select * from unnest({}) on conflict do nothing \
         returning trace_id, span_id, start_ns",
        places.join(", ")
    );
    let params: Vec<(&(dyn ToSql + Sync), Type)> =
        columns.iter().map(|(values, kind, _)| (&**values as &(dyn ToSql + Sync), kind.clone())).collect();
    let rows = client.query_typed(&sql, &params).await?;
    let mut inserted = HashSet::with_capacity(rows.len());
    for row in &rows {
        inserted.insert((row.try_get::<_, Uuid>(0)?.0, row.try_get::<_, i64>(1)?, row.try_get::<_, i64>(2)?));
    }
    // Of a span that stands in the batch twice, the first is the one that was inserted.
    let fate = |span: &&StoredSpan| {
        let is_new = inserted.remove(&(span.trace_id.to_bytes(), id_number(span.span_id), span.start_ns));
        if is_new { Fate::Inserted } else { Fate::Duplicate }
    };
    Ok(spans.iter().map(fate).collect())
}
