//! A filter as conditions on spans.

use std::time::Duration;

use super::attributes::{on_span, on_span_or_around};
use super::names::operations_containing;
use crate::store::backend::Backend;
use crate::store::bloom;
use crate::store::error::StoreError;
use crate::store::filter::{Filter, Outcome};
use crate::store::lift::IDS;
use crate::store::span::{TIMEOUTS, kind_number, nanoseconds, time_ns};
use crate::store::sql::{Dialect, Sql};

/// Operations of which the newest spans are read one by one.
const MOST_ALTERNATIVES: usize = 16;

/// Traces are looked for this long before the time that their spans are asked for.
const LONGEST_TRACE: Duration = Duration::from_secs(86_400);

/// A filter whose part of an operation's name has been looked up.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) filter: Filter,
    /// The operations that contain the part; `None` when no part is asked for.
    operations: Option<Vec<String>>,
}

impl Wanted {
    pub(super) async fn new<B: Backend>(backend: &B, filter: Filter) -> Result<Self, StoreError> {
        let operations = match &filter.operation_contains {
            Some(part) => Some(operations_containing(backend, part).await?),
            None => None,
        };
        Ok(Self { filter, operations })
    }

    /// Whether nothing can match.
    pub(super) fn is_nothing(&self) -> bool {
        self.operations.as_ref().is_some_and(Vec::is_empty)
    }

    pub(super) fn begins(&self) -> Option<i64> {
        self.filter.from.map(time_ns)
    }

    pub(super) fn ends(&self) -> Option<i64> {
        self.filter.to.map(time_ns)
    }

    /// When a trace with a span in the range of spans begins and ends.
    pub(super) fn around_spans(&self) -> Option<(i64, i64, i64)> {
        let (from, to) = self.filter.span_range?;
        let (from, to) = (time_ns(from), time_ns(to));
        Some((from.saturating_sub(nanoseconds(LONGEST_TRACE)), from, to))
    }

    /// ` and start >= .. and start < ..` on spans. `alias` ends with a point, or is empty.
    pub(super) fn spans_in_range(&self, sql: &mut Sql, alias: &str) {
        if let Some(from) = self.begins() {
            sql.starts(alias, ">=", from);
        }
        if let Some(to) = self.ends() {
            sql.starts(alias, "<", to);
        }
    }

    /// Whether anything is asked of a trace itself.
    pub(super) fn is_bound_to_traces(&self) -> bool {
        let filter = &self.filter;
        filter.from.is_some()
            || filter.to.is_some()
            || filter.trace_id.is_some()
            || filter.span_range.is_some()
    }

    fn is_error(&self) -> bool {
        matches!(self.filter.outcome, Some(Outcome::Error | Outcome::Timeout))
            || self.filter.status == Some(2)
    }

    /// Whether the summary of a trace tells all that is asked of its spans: their service.
    pub(super) fn is_told_by_summaries(&self) -> bool {
        let told = Filter {
            service: self.filter.service.clone(),
            trace_id: self.filter.trace_id,
            from: self.filter.from,
            to: self.filter.to,
            ..Filter::default()
        };
        self.filter == told && self.filter.service.as_deref().is_none_or(is_plain)
    }

    /// ` and .. and ..` on summaries: what every trace with such a span has.
    pub(super) fn told_by_summaries(&self, sql: &mut Sql) {
        if let Some(service) = self.filter.service.as_deref().filter(|service| is_plain(service)) {
            match sql.dialect {
                #[cfg(feature = "postgres")]
                Dialect::Postgres => sql.push(" and s.services @> array[").string(service).push("]"),
                #[cfg(feature = "sqlite")]
                Dialect::Sqlite => {
                    sql.push(" and instr(s.services, ").string(&format!("\"{service}\"")).push(") > 0")
                }
            };
        }
        if self.is_error() {
            sql.push(" and s.error_count > 0");
        }
        for (key, value) in &self.filter.attributes {
            sql.push(" and (s.attributes is null");
            for bits in bloom::wanted(key, value) {
                sql.push(" or ").may_have("s.attributes", &bits);
            }
            sql.push(")");
        }
    }

    /// One for each of the operations that a part stands for, as long as they are few: an index has the newest spans of
    /// one operation together, and not those of several.
    pub(super) fn alternatives(&self) -> Vec<Self> {
        match &self.operations {
            Some(names) if (2..=MOST_ALTERNATIVES).contains(&names.len()) => names
                .iter()
                .map(|name| Self { operations: Some(vec![name.clone()]), ..self.clone() })
                .collect(),
            _ => vec![self.clone()],
        }
    }

    /// ` indexed by ..` for the condition in [`leading`](Self::leading): SQLite, which keeps no statistics here, would take
    /// an index that answers less by itself.
    pub(super) fn index(&self, sql: &mut Sql) {
        let filter = &self.filter;
        let column = IDS.iter().zip(&filter.ids).find_map(|(column, id)| id.as_ref().and(Some(*column)));
        let name = match column {
            Some(column) => column.trim_end_matches("_id"),
            None if self.is_error() => "error",
            None if filter.operation.is_some() => "operation",
            // All of them would have to be sorted.
            None if self.operations.as_ref().is_some_and(|names| names.len() > 1) => "start",
            None if self.operations.is_some() => "operation",
            None if filter.service.is_some() => "service",
            None => return,
        };
        sql.push(&sql.dialect.pick(String::new(), format!(" indexed by execution_traces_{name}")));
    }

    /// ` and ..` on spans: the one condition of which the index is likely to lead to the fewest.
    pub(super) fn leading(&self, sql: &mut Sql) {
        let filter = &self.filter;
        let is_error = self.is_error();
        if let Some((column, id)) =
            IDS.iter().zip(&filter.ids).find_map(|(column, id)| Some((column, id.as_ref()?)))
        {
            sql.push(" and ").push(column).push(" = ").string(id);
        } else if is_error {
            sql.push(" and status = 2");
        } else if let Some(operation) = &filter.operation {
            sql.push(" and operation_name = ").string(operation);
        } else if let Some(names) = &self.operations {
            one_of(sql, "operation_name", names);
        } else if let Some(service) = &filter.service {
            sql.push(" and service_name = ").string(service);
        }
    }

    /// ` and .. and ..` on spans: everything but the time range.
    pub(super) fn spans(&self, sql: &mut Sql, alias: &str) {
        let filter = &self.filter;
        if let Some(id) = filter.trace_id {
            sql.push(" and ").push(alias).push("trace_id = ").trace(id);
        }
        for (column, text) in [("service_name", &filter.service), ("operation_name", &filter.operation)] {
            if let Some(text) = text {
                sql.push(" and ").push(alias).push(column).push(" = ").string(text);
            }
        }
        if let Some(names) = &self.operations {
            one_of(sql, &format!("{alias}operation_name"), names);
        }
        if let Some(outcome) = filter.outcome {
            sql.push(" and ");
            match outcome {
                Outcome::Success => sql.push(alias).push("status <> 2"),
                // The number stands in the statement because the index over errors is partial.
                Outcome::Error => sql.push(alias).push("status = 2 and not ").push(&timed_out(alias)),
                Outcome::Timeout => sql.push(alias).push("status = 2 and ").push(&timed_out(alias)),
            };
        }
        match filter.status {
            // The number stands in the statement because the index over errors is partial.
            Some(2) => {
                sql.push(" and ").push(alias).push("status = 2");
            }
            Some(status) => {
                sql.push(" and ").push(alias).push("status = ").int(status.into());
            }
            None => {}
        }
        if let Some(kind) = &filter.kind {
            sql.push(" and ").push(alias).push("kind = ").int(kind_number(kind).into());
        }
        for (column, id) in IDS.iter().zip(&filter.ids) {
            if let Some(id) = id {
                sql.push(" and ").push(alias).push(column).push(" = ").string(id);
            }
        }
        for (operator, duration) in [(">=", filter.min_duration), ("<=", filter.max_duration)] {
            if let Some(duration) = duration {
                sql.push(" and ").push(alias).push("duration_ns ").push(operator).push(" ");
                sql.int(nanoseconds(duration));
            }
        }
        for (key, value) in &filter.attributes {
            sql.push(" and ");
            on_span(sql, alias, key, value);
        }
        for (key, value) in &filter.attributes_anywhere {
            sql.push(" and ");
            on_span_or_around(sql, alias, key, value);
        }
        if let Some((from, to)) = filter.span_range {
            sql.starts(alias, ">=", time_ns(from)).starts(alias, "<", time_ns(to));
        }
    }
}

/// Whether JSON has the text as it is.
fn is_plain(text: &str) -> bool {
    !text.contains(|character: char| character.is_control() || matches!(character, '"' | '\\'))
}

fn one_of(sql: &mut Sql, column: &str, names: &[String]) {
    sql.push(" and ").push(column).push(" in (");
    for (index, name) in names.iter().enumerate() {
        sql.push(if index > 0 { ", " } else { "" }).string(name);
    }
    sql.push(if names.is_empty() { "null)" } else { ")" });
}

/// Whether a span that failed timed out.
pub(super) fn timed_out(alias: &str) -> String {
    format!("(lower(coalesce({alias}error_type, '')) in ('{}', '{}'))", TIMEOUTS[0], TIMEOUTS[1])
}
