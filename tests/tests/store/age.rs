use std::time::{Duration, SystemTime};

use opentelemetry::trace::TraceId;
use throughline::store::{Filter, Page};

use crate::support::{Fixture, begin, ids, rows, span};

crate::on_both!(
    spans_out_of_time_are_rejected,
    retention_takes_old_traces_and_leaves_the_rest,
    retention_off_keeps_everything,
    maintenance_of_an_empty_store_is_no_error
);

const DAY: Duration = Duration::from_secs(86_400);

// store.md, section 3: older than the retention or more than a year ahead is rejected, never moved in time.
async fn spans_out_of_time_are_rejected(f: Fixture) {
    let now = SystemTime::now();
    let batch = rows([
        span(1, 1, 0, now - 31 * DAY),
        span(2, 1, 0, now + 400 * DAY),
        span(3, 1, 0, SystemTime::UNIX_EPOCH),
        span(4, 1, 0, now - 29 * DAY),
        span(5, 1, 0, now + 300 * DAY),
    ]);
    let written = f.store.write(batch).await.unwrap();
    assert_eq!((written.inserted, written.duplicate, written.rejected), (2, 0, 3));
    assert_eq!(ids(&f.store.list(Filter::new(), Page::first(9)).await.unwrap()), [5, 4]);
}

async fn retention_takes_old_traces_and_leaves_the_rest(f: Fixture) {
    let keeps_all = f.open(|options| options.retention(None));
    let old = (1..=600_u128).map(|trace| span(trace, 1, 0, begin() - 200 * DAY).service("gone").name("gone"));
    keeps_all.write(rows(old)).await.unwrap();
    f.store.write(rows([span(1_000, 1, 0, begin()), span(1_000, 2, 1, begin())])).await.unwrap();
    let done = f.store.maintain(SystemTime::now()).await.unwrap();
    assert_eq!((done.traces_removed, done.busy), (600, false));
    let list = f.store.list(Filter::new(), Page::first(9)).await.unwrap();
    assert_eq!((ids(&list), list.total), (vec![1_000], Some(1)));
    assert_eq!(f.store.stats(Filter::new(), None).await.unwrap().all.count, 2);
    assert!(f.store.spans(TraceId::from(1_u128), None, 9).await.unwrap().is_empty());
    assert_eq!(f.store.maintain(SystemTime::now()).await.unwrap().traces_removed, 0, "nothing is left to do");
}

async fn retention_off_keeps_everything(f: Fixture) {
    let keeps_all = f.open(|options| options.retention(None));
    keeps_all.write(rows([span(1, 1, 0, begin() - 2_000 * DAY)])).await.unwrap();
    let done = keeps_all.maintain(SystemTime::now()).await.unwrap();
    assert!(done.partitions_dropped.is_empty() && done.traces_removed == 0);
    assert_eq!(ids(&f.store.list(Filter::new(), Page::first(9)).await.unwrap()), [1]);
}

async fn maintenance_of_an_empty_store_is_no_error(f: Fixture) {
    f.store.maintain(SystemTime::now()).await.unwrap();
    let health = f.store.health().await.unwrap();
    assert_eq!((health.schema, health.oldest_ns, health.newest_ns), (2, None, None));
    f.store.write(rows([span(1, 1, 0, begin())])).await.unwrap();
    let health = f.store.health().await.unwrap();
    assert!(health.size_bytes > 0 && health.oldest_ns.is_some() && health.oldest_ns == health.newest_ns);
}
