//! Statements for either database: text, parameters, and rows of plain cells.

use opentelemetry::trace::{SpanId, TraceId};

use super::bloom::Bloom;
use super::error::StoreError;

/// Where the two databases differ in their SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    #[cfg(feature = "postgres")]
    Postgres,
    #[cfg(feature = "sqlite")]
    Sqlite,
}

impl Dialect {
    /// Takes the text of this dialect.
    #[allow(clippy::needless_pass_by_value)] // in a build with one of them
    pub(crate) fn pick<T>(self, postgres: T, sqlite: T) -> T {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres => {
                let _ = sqlite;
                postgres
            }
            #[cfg(feature = "sqlite")]
            Self::Sqlite => {
                let _ = postgres;
                sqlite
            }
        }
    }
}

/// A value beside the statement. No text of a caller ever becomes part of one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Param {
    Int(i64),
    #[allow(dead_code)] // SQLite compares attributes with it
    Double(f64),
    Text(String),
    Trace([u8; 16]),
    /// Of a trace's attributes.
    Bits(Box<Bloom>),
    /// Nanoseconds since 1970, for a column that PostgreSQL keeps as a time.
    #[cfg_attr(not(feature = "postgres"), allow(dead_code))]
    Time(i64),
}

/// A statement in the making.
#[derive(Debug, Clone)]
pub(crate) struct Sql {
    pub(crate) dialect: Dialect,
    pub(crate) text: String,
    pub(crate) params: Vec<Param>,
}

impl Sql {
    pub(crate) fn new(dialect: Dialect, text: &str) -> Self {
        Self { dialect, text: text.to_owned(), params: Vec::new() }
    }

    pub(crate) fn push(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// Puts a placeholder.
    pub(crate) fn bind(&mut self, param: Param) -> &mut Self {
        self.params.push(param);
        self.text.push_str(self.dialect.pick("$", "?"));
        self.text.push_str(&self.params.len().to_string());
        self
    }

    pub(crate) fn int(&mut self, value: i64) -> &mut Self {
        self.bind(Param::Int(value))
    }

    pub(crate) fn string(&mut self, text: &str) -> &mut Self {
        self.bind(Param::Text(super::span::clean(text)))
    }

    pub(crate) fn trace(&mut self, id: TraceId) -> &mut Self {
        self.bind(Param::Trace(id.to_bytes()))
    }

    /// `(..)`: whether a trace may have an attribute that sets these bits, by the column with the bits of all.
    pub(crate) fn may_have(&mut self, column: &str, bits: &Bloom) -> &mut Self {
        let bits = Param::Bits(Box::new(*bits));
        match self.dialect {
            #[cfg(feature = "postgres")]
            Dialect::Postgres => {
                let place = self.params.len() + 1;
                self.push("(").push(column).push(" & ").bind(bits);
                self.push(&format!("::bit(1024)) = ${place}::bit(1024)"))
            }
            #[cfg(feature = "sqlite")]
            Dialect::Sqlite => self.push("has_bits(").push(column).push(", ").bind(bits).push(")"),
        }
    }

    /// Spans whose start is at or after (`>=`) or before (`<`) a time. `alias` ends with a point, or is empty.
    pub(crate) fn starts(&mut self, alias: &str, operator: &str, ns: i64) -> &mut Self {
        self.push(" and ").push(alias).push("start_ns ").push(operator).push(" ").int(ns);
        #[cfg(feature = "postgres")]
        if self.dialect == Dialect::Postgres {
            // Partitions and indexes go by microseconds, of which the bound's own is included.
            let operator = if operator.starts_with('<') { "<=" } else { ">=" };
            self.push(" and ").push(alias).push("start_time ").push(operator).push(" ").bind(Param::Time(ns));
        }
        self
    }
}

/// A value that came back.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    Null,
    Int(i64),
    Text(String),
    Trace([u8; 16]),
}

/// Rows that come back, up to so many bytes.
#[derive(Debug)]
pub(crate) struct Rows {
    rows: Vec<Row>,
    bytes_left: usize,
}

impl Rows {
    pub(crate) fn up_to(bytes: usize) -> Self {
        Self { rows: Vec::new(), bytes_left: bytes }
    }

    /// One row more.
    pub(crate) fn push(&mut self, row: Row) -> Result<(), StoreError> {
        self.bytes_left = self.bytes_left.checked_sub(row.weight()).ok_or(StoreError::TooLarge)?;
        self.rows.push(row);
        Ok(())
    }

    pub(crate) fn into_rows(self) -> Vec<Row> {
        self.rows
    }
}

/// One row that came back, read from left to right.
#[derive(Debug, Clone, Default)]
pub(crate) struct Row {
    cells: std::vec::IntoIter<Cell>,
}

impl Row {
    pub(crate) fn new(cells: Vec<Cell>) -> Self {
        Self { cells: cells.into_iter() }
    }

    /// About what it takes in memory, in bytes.
    pub(crate) fn weight(&self) -> usize {
        let cells = self.cells.as_slice();
        let texts = cells.iter().map(|cell| if let Cell::Text(text) = cell { text.len() } else { 0 });
        size_of_val(cells) + texts.sum::<usize>()
    }

    /// The first number, without going on to the next.
    pub(crate) fn first_int(&self) -> i64 {
        match self.cells.as_slice().first() {
            Some(Cell::Int(value)) => *value,
            _ => 0,
        }
    }

    fn next(&mut self) -> Cell {
        self.cells.next().unwrap_or(Cell::Null)
    }

    /// The next number, 0 for null.
    pub(crate) fn int(&mut self) -> i64 {
        self.maybe_int().unwrap_or(0)
    }

    pub(crate) fn maybe_int(&mut self) -> Option<i64> {
        match self.next() {
            Cell::Int(value) => Some(value),
            Cell::Text(text) => text.parse().ok(),
            _ => None,
        }
    }

    pub(crate) fn count(&mut self) -> u64 {
        u64::try_from(self.int()).unwrap_or(0)
    }

    pub(crate) fn small(&mut self) -> i16 {
        i16::try_from(self.int()).unwrap_or(0)
    }

    pub(crate) fn number(&mut self) -> i32 {
        i32::try_from(self.int()).unwrap_or(i32::MAX)
    }

    pub(crate) fn text(&mut self) -> String {
        self.maybe_text().unwrap_or_default()
    }

    pub(crate) fn maybe_text(&mut self) -> Option<String> {
        match self.next() {
            Cell::Text(text) => Some(text),
            Cell::Int(value) => Some(value.to_string()),
            _ => None,
        }
    }

    pub(crate) fn trace(&mut self) -> TraceId {
        match self.next() {
            Cell::Trace(bytes) => TraceId::from_bytes(bytes),
            _ => TraceId::INVALID,
        }
    }

    pub(crate) fn span(&mut self) -> SpanId {
        SpanId::from_bytes(self.int().to_be_bytes())
    }
}
