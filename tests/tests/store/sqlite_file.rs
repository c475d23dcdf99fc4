//! What is special to a file.

use throughline::store::{self, Filter, Page, StoreError, StoreOptions};

use crate::support::{Folder, begin, ids, ms, on_sqlite, rows, span};

#[test]
fn oldest_traces_go_when_the_file_is_too_large() {
    on_sqlite(|f| {
        Box::pin(async move {
            let store = f.open(|options| options.sqlite_max_bytes(2 << 20));
            for part in 0..40_u128 {
                let spans = (1..=100).map(|id| {
                    let trace = part * 100 + u128::from(id);
                    span(trace, id, 0, begin() + ms(u64::try_from(trace).unwrap()))
                        .attribute("text", "x".repeat(1_000))
                });
                store.write(rows(spans)).await.unwrap();
            }
            let before = store.health().await.unwrap().size_bytes;
            let done = store.maintain(std::time::SystemTime::now()).await.unwrap();
            let after = store.health().await.unwrap().size_bytes;
            assert!(before > 4 << 20 && after <= 2 << 20, "{before} {after}");
            let list = store.list(Filter::new(), Page::first(1)).await.unwrap();
            assert_eq!(ids(&list), [4_000], "the newest stays");
            assert_eq!(list.total.unwrap() + done.traces_removed, 4_000);
            assert_eq!(store.stats(Filter::new(), None).await.unwrap().all.count, list.total.unwrap());
        })
    });
}

#[test]
fn folder_that_is_missing_is_told_and_may_come_later() {
    let folder = Folder::new();
    let inner = folder.0.join("later");
    let store = store::open(StoreOptions::new(format!("sqlite:{}", inner.join("t.db").display()))).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let error = runtime.block_on(store.write(rows([span(1, 1, 0, begin())]))).unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("cannot be opened"), "{error}");
    std::fs::create_dir(&inner).unwrap();
    assert_eq!(runtime.block_on(store.write(rows([span(1, 1, 0, begin())]))).unwrap().inserted, 1);
}

#[test]
fn file_that_is_no_database_is_left_alone() {
    let folder = Folder::new();
    let path = folder.0.join("traces.db");
    std::fs::write(&path, "precious ".repeat(1_000)).unwrap();
    let store = store::open(StoreOptions::new(folder.url())).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let error = runtime.block_on(store.migrate()).unwrap_err();
    assert!(matches!(error, StoreError::Refused { .. }), "{error:?}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious ".repeat(1_000));
}

#[test]
fn long_query_is_given_up() {
    on_sqlite(|f| {
        Box::pin(async move {
            f.store.write(rows((1..=2_000).map(|id| span(1, id, 0, begin())))).await.unwrap();
            let hasty = f.open(|options| options.query_timeout(std::time::Duration::ZERO));
            let error = hasty.stats(Filter::new(), None).await.unwrap_err();
            assert!(matches!(error, StoreError::TimedOut), "{error:?}");
        })
    });
}
