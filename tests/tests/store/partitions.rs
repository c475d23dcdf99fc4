//! PostgreSQL's partitions.

use std::time::{Duration, SystemTime};

use opentelemetry::trace::TraceId;
use throughline::store::{Filter, Page, Partition};

use crate::support::{Fixture, connect, ids, ms, on_postgres, rows, span};

const DAY: Duration = Duration::from_secs(86_400);

/// 2026-10-31, 5 ms before midnight in UTC.
fn before_november() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_793_491_200) - ms(5)
}

async fn partitions(f: &Fixture) -> Vec<String> {
    let sql = "select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid \
               where i.inhparent = 'execution_traces'::regclass order by 1";
    connect(&f.url).await.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

#[test]
fn trace_goes_on_over_the_end_of_a_month() {
    on_postgres(|f| {
        Box::pin(async move {
            let store = f.open(|options| options.retention(None));
            let batch =
                rows((1..=10).map(|id| span(1, id, id - 1, before_november() + ms(id)).lasts(ms(20))));
            assert_eq!(store.write(batch.clone()).await.unwrap().inserted, 10);
            assert_eq!(partitions(&f).await, ["execution_traces_y2026m10", "execution_traces_y2026m11"]);
            assert_eq!(store.write(batch).await.unwrap().duplicate, 10);
            let trace = store.trace(TraceId::from(1_u128)).await.unwrap().unwrap();
            assert_eq!((trace.span_count, trace.orphan_count), (10, 0));
            assert_eq!(store.spans(TraceId::from(1_u128), None, 99).await.unwrap().len(), 10);
            assert_eq!(ids(&store.list(Filter::new().service("shop"), Page::first(9)).await.unwrap()), [1]);
        })
    });
}

#[test]
fn days_continue_where_months_began() {
    on_postgres(|f| {
        Box::pin(async move {
            let months = f.open(|options| options.retention(None));
            let days = f.open(|options| options.retention(None).partition(Partition::Day));
            months.write(rows([span(1, 1, 0, before_november())])).await.unwrap();
            // October is there as a month, the second of November as a day; then a month is asked for.
            days.write(rows([span(2, 1, 0, before_november()), span(2, 2, 0, before_november() + 2 * DAY)]))
                .await
                .unwrap();
            months.write(rows([span(3, 1, 0, before_november() + 5 * DAY)])).await.unwrap();
            assert_eq!(
                partitions(&f).await,
                ["execution_traces_y2026m10", "execution_traces_y2026m11d02", "execution_traces_y2026m11d05"]
            );
            assert_eq!(ids(&months.list(Filter::new(), Page::first(9)).await.unwrap()), [3, 2, 1]);
        })
    });
}

#[test]
fn janitor_makes_partitions_ahead_and_drops_old_ones() {
    on_postgres(|f| {
        Box::pin(async move {
            let at = before_november();
            let keeps = f.open(|options| options.retention(None));
            // The 11th of October, the 30th of September and of August.
            let old = [(1, 20), (2, 31), (3, 62)].map(|(trace, days)| span(trace, 1, 0, at - days * DAY));
            keeps.write(rows(old)).await.unwrap();
            let done = f.store.maintain(at).await.unwrap();
            assert_eq!(done.partitions_made, ["execution_traces_y2026m11", "execution_traces_y2026m12"]);
            // A month goes when all of it is past the retention, which at the end of October is the first.
            assert_eq!(done.partitions_dropped.len(), 2, "{done:?}");
            assert_eq!(done.traces_removed, 2);
            assert_eq!(ids(&keeps.list(Filter::new(), Page::first(9)).await.unwrap()), [1]);
            assert_eq!(
                keeps.spans(TraceId::from(1_u128), None, 9).await.unwrap().len(),
                1,
                "its month is still there"
            );
            let again = f.store.maintain(at).await.unwrap();
            assert!(again.partitions_made.is_empty() && again.partitions_dropped.is_empty() && !again.busy);
            // A month later October is past it, too.
            let later = f.store.maintain(at + 31 * DAY).await.unwrap();
            assert_eq!(later.partitions_dropped.len(), 1);
        })
    });
}

#[test]
fn one_janitor_at_a_time() {
    on_postgres(|f| {
        Box::pin(async move {
            f.store.migrate().await.unwrap();
            let holder = connect(&f.url).await;
            holder.query_one("select pg_advisory_lock(x'7468726f75676c6a'::int8)", &[]).await.unwrap();
            assert!(f.store.maintain(SystemTime::now()).await.unwrap().busy);
            drop(holder);
            // The server frees the lock when it has noticed.
            loop {
                if !f.store.maintain(SystemTime::now()).await.unwrap().busy {
                    break;
                }
                tokio::task::yield_now().await;
            }
        })
    });
}

#[test]
fn retention_passes_readers_and_writers() {
    on_postgres(|f| {
        Box::pin(async move {
            let keeps = f.open(|options| options.retention(None));
            keeps.write(rows([span(1, 1, 0, SystemTime::now() - 100 * DAY)])).await.unwrap();
            // A reader that has the old partition open holds up its detaching, and nothing else.
            let reader = connect(&f.url).await;
            reader.batch_execute("begin; select count(*) from execution_traces").await.unwrap();
            let held = f.store.maintain(SystemTime::now()).await;
            assert!(held.as_ref().is_err_and(throughline::store::StoreError::is_transient), "{held:?}");
            assert_eq!(f.store.write(rows([span(2, 1, 0, SystemTime::now())])).await.unwrap().inserted, 1);
            reader.batch_execute("commit").await.unwrap();
            // What was begun is finished.
            let done = f.store.maintain(SystemTime::now()).await.unwrap();
            assert_eq!(done.traces_removed, 1, "{done:?}");
            assert_eq!(ids(&f.store.list(Filter::new(), Page::first(9)).await.unwrap()), [2]);
        })
    });
}
