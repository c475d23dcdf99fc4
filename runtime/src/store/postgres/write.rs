//! Writing: COPY into the table, and the ways around what may be wrong with a batch.

use std::time::Duration;

use futures_util::SinkExt as _;
use tokio_postgres::{Client, Error, Statement};

use super::connection::failed;
use super::copy::{COLUMNS, encode};
use super::insert::insert;
use super::{class, partition, summary};
use crate::store::batch::{Fate, Fitting, Known, inserted, summaries};
use crate::store::error::StoreError;
use crate::store::options::Partition;
use crate::store::span::StoredSpan;

/// The connection that writes, and what it knows to be written.
pub(super) struct Writer {
    client: Client,
    known: Known,
    partition: Partition,
    /// The prepared COPY.
    copy: Option<Statement>,
    /// Behind a pooler that gives each transaction another connection, prepared statements are not found again.
    copies: bool,
    /// Not in a transaction of which the end is unknown.
    is_clean: bool,
}

/// How the next part of a batch is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Copy,
    /// Some of it is there already.
    Insert,
}

impl Writer {
    pub(super) fn new(client: Client, partition: Partition) -> Self {
        Self { client, known: Known::default(), partition, copy: None, copies: true, is_clean: true }
    }

    /// Whether another batch may be written with it.
    pub(super) fn is_usable(&self) -> bool {
        self.is_clean && !self.client.is_closed()
    }

    pub(super) async fn write(
        &mut self,
        spans: &[StoredSpan],
        now_ns: i64,
        retention: Option<Duration>,
    ) -> Result<Vec<Fate>, StoreError> {
        let fitting = Fitting::new(spans, now_ns, retention);
        // Parts are written from the left to the right, so this grows with them.
        let mut fates = Vec::with_capacity(fitting.spans.len());
        let mut parts = vec![(fitting.spans.as_slice(), Way::Copy)];
        let mut partitions_made = 0;
        while let Some((part, way)) = parts.pop() {
            if part.is_empty() {
                continue;
            }
            let way = if self.copies { way } else { Way::Insert };
            let error = match self.transaction(part, way, now_ns).await {
                Ok(written) => {
                    fates.extend(written);
                    continue;
                }
                Err(error) => error,
            };
            match (error.code().map(|code| code.code()), class(&error)) {
                (Some("23505"), _) if way == Way::Copy => parts.push((part, Way::Insert)),
                // No partition for some row. The check is repeated because retention may take it away again.
                (Some("23514"), _) if partitions_made < 3 => {
                    partitions_made += 1;
                    let starts = part.iter().map(|span| span.start_ns);
                    partition::make(&mut self.client, starts, self.partition).await?;
                    parts.push((part, way));
                }
                (Some("42P05" | "26000"), _) if way == Way::Copy => {
                    self.copies = false;
                    self.copy = None;
                    parts.push((part, Way::Insert));
                }
                // A value that cannot be stored, or is too large to be indexed: halve until it stands alone.
                (_, "22" | "54") if part.len() > 1 => {
                    let (left, right) = part.split_at(part.len() / 2);
                    parts.push((right, way));
                    parts.push((left, way));
                }
                (_, "22" | "54") => fates.push(Fate::Rejected),
                _ => return Err(failed(error)),
            }
        }
        Ok(fitting.all(&fates))
    }

    /// One part in one transaction, which is ended in any case.
    async fn transaction(&mut self, part: &[&StoredSpan], way: Way, now_ns: i64) -> Result<Vec<Fate>, Error> {
        self.is_clean = false;
        let done = self.statements(part, way, now_ns).await;
        if done.is_err() {
            // The error that counts is the first one. If this fails too, the connection is of no more use.
            self.is_clean = self.client.batch_execute("rollback").await.is_ok();
        } else {
            self.is_clean = true;
        }
        done
    }

    async fn statements(&mut self, part: &[&StoredSpan], way: Way, now_ns: i64) -> Result<Vec<Fate>, Error> {
        if way == Way::Copy && self.copy.is_none() {
            let sql = format!("copy execution_traces ({COLUMNS}) from stdin (format binary)");
            self.copy = Some(self.client.prepare(&sql).await?);
        }
        self.client.batch_execute("begin").await?;
        let fates = match (&self.copy, way) {
            (Some(copy), Way::Copy) => {
                copy_in(&self.client, copy, part).await?;
                vec![Fate::Inserted; part.len()]
            }
            _ => insert(&self.client, part).await?,
        };
        let summaries = summaries(inserted(part, &fates));
        if !summaries.is_empty() {
            summary::upsert(&self.client, &summaries).await?;
        }
        let news = self.known.news(part.iter().copied(), now_ns);
        summary::note(&self.client, &news).await?;
        self.client.batch_execute("commit").await?;
        self.known.learn(news);
        Ok(fates)
    }
}

async fn copy_in(client: &Client, copy: &Statement, spans: &[&StoredSpan]) -> Result<u64, Error> {
    let sink = client.copy_in(copy).await?;
    let mut sink = std::pin::pin!(sink);
    for piece in encode(spans) {
        sink.feed(piece).await?;
    }
    sink.finish().await
}
