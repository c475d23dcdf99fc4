//! What a database has to bring; the queries over it are written once.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::SystemTime;

use super::answer::{Maintained, StoreHealth};
use super::batch::Fate;
use super::error::StoreError;
use super::gather::Gather;
use super::span::StoredSpan;
use super::sql::{Dialect, Row, Sql};

/// A database. Whoever has one has a [`Store`](super::Store).
pub(crate) trait Backend: fmt::Debug + Send + Sync + 'static {
    fn dialect(&self) -> Dialect;

    /// Makes the schema, or brings it up to date; the version that it has then.
    fn migrate_schema(&self) -> impl Future<Output = Result<i32, StoreError>> + Send;

    /// Where batches wait that come while one is being written.
    fn gather(&self) -> &Gather;

    /// Writes the spans in one transaction and tells the fate of each.
    fn write_batch(
        &self,
        spans: Arc<Vec<StoredSpan>>,
    ) -> impl Future<Output = Result<Vec<Fate>, StoreError>> + Send;

    /// Runs a query on a connection that reads.
    fn rows(&self, sql: Sql) -> impl Future<Output = Result<Vec<Row>, StoreError>> + Send;

    fn maintain_at(&self, now: SystemTime) -> impl Future<Output = Result<Maintained, StoreError>> + Send;

    fn state(&self) -> impl Future<Output = Result<StoreHealth, StoreError>> + Send;
}
