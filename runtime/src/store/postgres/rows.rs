//! Queries. Unnamed statements with their types told: they pass a pooler that gives each transaction another connection.

use std::pin::pin;

use futures_util::StreamExt as _;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row as PostgresRow};

use super::connection::failed;
use super::values::{Bits, Time, Uuid};
use crate::store::error::StoreError;
use crate::store::sql::{Cell, Param, Row, Rows, Sql};

pub(super) async fn rows(client: &Client, sql: &Sql, most_bytes: usize) -> Result<Vec<Row>, StoreError> {
    let found = client.query_typed_raw(&sql.text, sql.params.iter().map(value)).await.map_err(failed)?;
    let mut found = pin!(found);
    let mut rows = Rows::up_to(most_bytes);
    while let Some(row) = found.next().await {
        rows.push(row.and_then(|row| read(&row)).map_err(failed)?)?;
    }
    Ok(rows.into_rows())
}

fn value(param: &Param) -> (Box<dyn ToSql + Sync + Send>, Type) {
    match param {
        Param::Int(value) => (Box::new(*value), Type::INT8),
        Param::Double(value) => (Box::new(*value), Type::FLOAT8),
        Param::Text(text) => (Box::new(text.clone()), Type::TEXT),
        Param::Trace(bytes) => (Box::new(Uuid(*bytes)), Type::UUID),
        Param::Bits(bits) => (Box::new(Bits(**bits)), Type::VARBIT),
        Param::Time(ns) => (Box::new(Time(*ns)), Type::TIMESTAMPTZ),
    }
}

fn read(row: &PostgresRow) -> Result<Row, tokio_postgres::Error> {
    let cells = row.columns().iter().enumerate().map(|(index, column)| {
        let int = |value: Option<i64>| value.map_or(Cell::Null, Cell::Int);
        Ok(match *column.type_() {
            Type::INT2 => int(row.try_get::<_, Option<i16>>(index)?.map(i64::from)),
            Type::INT4 => int(row.try_get::<_, Option<i32>>(index)?.map(i64::from)),
            Type::INT8 => int(row.try_get(index)?),
            Type::UUID => row.try_get::<_, Option<Uuid>>(index)?.map_or(Cell::Null, |id| Cell::Trace(id.0)),
            // The statements cast everything else to text.
            _ => row.try_get::<_, Option<String>>(index)?.map_or(Cell::Null, Cell::Text),
        })
    });
    cells.collect::<Result<Vec<Cell>, _>>().map(Row::new)
}
