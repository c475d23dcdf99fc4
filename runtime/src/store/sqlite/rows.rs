//! Queries.

use std::time::{Duration, Instant};

use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, Row as SqliteRow, ToSql, params_from_iter};

use super::connection::failed;
use crate::store::error::StoreError;
use crate::store::sql::{Cell, Param, Row, Rows, Sql};

impl ToSql for Param {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Int(value) | Self::Time(value) => ToSqlOutput::Owned(Value::Integer(*value)),
            Self::Double(value) => ToSqlOutput::Owned(Value::Real(*value)),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Self::Trace(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
            Self::Bits(bits) => ToSqlOutput::Borrowed(ValueRef::Blob(bits.as_bytes())),
        })
    }
}

pub(super) fn rows(
    connection: &mut Connection,
    sql: &Sql,
    most_bytes: usize,
) -> Result<Vec<Row>, StoreError> {
    let mut statement = connection.prepare_cached(&sql.text).map_err(failed)?;
    let columns = statement.column_count();
    let mut found = statement.query(params_from_iter(&sql.params)).map_err(failed)?;
    let mut rows = Rows::up_to(most_bytes);
    while let Some(row) = found.next().map_err(failed)? {
        rows.push(read(row, columns).map_err(failed)?)?;
    }
    Ok(rows.into_rows())
}

fn read(row: &SqliteRow<'_>, columns: usize) -> rusqlite::Result<Row> {
    let cells = (0..columns).map(|index| {
        Ok(match row.get_ref(index)? {
            ValueRef::Null => Cell::Null,
            ValueRef::Integer(value) => Cell::Int(value),
            ValueRef::Real(value) => Cell::Text(value.to_string()),
            ValueRef::Text(text) => Cell::Text(String::from_utf8_lossy(text).into_owned()),
            ValueRef::Blob(bytes) => bytes.try_into().map_or(Cell::Null, Cell::Trace),
        })
    });
    cells.collect::<rusqlite::Result<Vec<Cell>>>().map(Row::new)
}

/// Gives up what runs for longer than this, from now on.
pub(super) fn limit(connection: &Connection, timeout: Duration) -> rusqlite::Result<()> {
    let deadline = Instant::now() + timeout;
    connection.progress_handler(10_000, Some(move || Instant::now() > deadline))
}
