use std::sync::Arc;

use throughline::store::{self, Filter, Page, StoreError};
use tokio::sync::Barrier;

use crate::support::{Fixture, begin, rows, span};

/// The version of the schema.
const NEWEST: i32 = 2;

crate::on_both!(
    many_processes_migrate_at_once,
    many_processes_write_at_once_into_nothing,
    changed_migration_is_an_error,
    schema_that_is_missing_is_told_when_it_may_not_be_made,
    printed_schema_is_the_schema,
    database_that_is_ahead_is_left_alone,
);

// store.md, section 3: safe when several processes start at once.
async fn many_processes_migrate_at_once(f: Fixture) {
    let all = Arc::new(Barrier::new(8));
    let mut starts = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (store, all) = (f.open(|options| options.index_attributes(true)), Arc::clone(&all));
        starts.spawn(async move {
            all.wait().await;
            store.migrate().await
        });
    }
    while let Some(version) = starts.join_next().await {
        assert_eq!(version.unwrap().unwrap(), NEWEST);
    }
}

async fn many_processes_write_at_once_into_nothing(f: Fixture) {
    let all = Arc::new(Barrier::new(6));
    let mut starts = tokio::task::JoinSet::new();
    for writer in 1..=6_u64 {
        let (store, all) = (f.open(|options| options), Arc::clone(&all));
        let begin = begin();
        starts.spawn(async move {
            let batch = rows([span(1, writer, 0, begin)]);
            all.wait().await;
            store.write(batch).await
        });
    }
    while let Some(written) = starts.join_next().await {
        assert_eq!(written.unwrap().unwrap().inserted, 1);
    }
    assert_eq!(f.store.list(Filter::new(), Page::first(1)).await.unwrap().traces[0].span_count, 6);
}

async fn changed_migration_is_an_error(f: Fixture) {
    f.store.migrate().await.unwrap();
    f.execute("update throughline_migrations set checksum = 'other'").await;
    let error = f.open(|options| options).migrate().await.unwrap_err();
    assert!(matches!(error, StoreError::ChangedMigration { version: 1 }), "{error}");
}

async fn schema_that_is_missing_is_told_when_it_may_not_be_made(f: Fixture) {
    let careful = f.open(|options| options.auto_migrate(false));
    if !f.is_postgres() {
        // There must be a file to read.
        f.execute("create table other (x)").await;
    }
    let error = careful.write(rows([span(1, 1, 0, begin())])).await.unwrap_err();
    assert!(matches!(error, StoreError::NotMigrated { found: 0, needed: NEWEST }), "{error}");
    assert!(error.is_transient(), "somebody may make it");
    f.store.migrate().await.unwrap();
    assert_eq!(careful.write(rows([span(1, 1, 0, begin())])).await.unwrap().inserted, 1);
}

async fn printed_schema_is_the_schema(f: Fixture) {
    f.execute(&store::schema_sql(&f.url).unwrap()).await;
    let careful = f.open(|options| options.auto_migrate(false));
    assert_eq!(careful.write(rows([span(1, 1, 0, begin())])).await.unwrap().inserted, 1);
    assert_eq!(f.store.migrate().await.unwrap(), NEWEST);
}

async fn database_that_is_ahead_is_left_alone(f: Fixture) {
    f.store.migrate().await.unwrap();
    f.execute("insert into throughline_migrations (version, checksum) values (1000, 'later')").await;
    let store = f.open(|options| options);
    assert_eq!(store.migrate().await.unwrap(), 1000);
    assert_eq!(store.write(rows([span(1, 1, 0, begin())])).await.unwrap().inserted, 1);
}
