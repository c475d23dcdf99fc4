//! Services and operations, from the small table that lists both.

use std::collections::BTreeSet;

use opentelemetry::trace::SpanKind;

use crate::store::backend::Backend;
use crate::store::error::StoreError;
use crate::store::span::kind_number;
use crate::store::sql::Sql;

/// A part of a name that matches more operations than this is too short to be of use; the rest is left out.
const MOST_NAMES: usize = 1_000;

pub(in crate::store) async fn services<B: Backend>(backend: &B) -> Result<Vec<String>, StoreError> {
    let sql = Sql::new(backend.dialect(), "select distinct service from trace_operations");
    let mut names: Vec<String> = backend.rows(sql).await?.iter_mut().map(|row| row.text()).collect();
    // Sorted here, because the databases sort by different rules.
    names.sort_unstable();
    Ok(names)
}

pub(in crate::store) async fn operations<B: Backend>(
    backend: &B,
    service: Option<String>,
    kind: Option<SpanKind>,
) -> Result<Vec<(String, i16)>, StoreError> {
    let mut sql =
        Sql::new(backend.dialect(), "select distinct operation, kind from trace_operations where true");
    if let Some(service) = &service {
        sql.push(" and service = ").string(service);
    }
    if let Some(kind) = &kind {
        sql.push(" and kind = ").int(kind_number(kind).into());
    }
    let rows = &mut backend.rows(sql).await?;
    let mut names: Vec<(String, i16)> = rows.iter_mut().map(|row| (row.text(), row.small())).collect();
    names.sort_unstable();
    Ok(names)
}

/// Compared here, because the databases disagree about the case of letters beyond ASCII.
pub(super) async fn operations_containing<B: Backend>(
    backend: &B,
    part: &str,
) -> Result<Vec<String>, StoreError> {
    let part = part.to_lowercase();
    let names = operations(backend, None, None).await?;
    let found: BTreeSet<String> =
        names.into_iter().map(|(name, _)| name).filter(|name| name.to_lowercase().contains(&part)).collect();
    Ok(found.into_iter().take(MOST_NAMES).collect())
}
