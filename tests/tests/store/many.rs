//! Many spans from several senders, some of them twice: each is stored once, and the list has every trace once.
//!
//! A million, in some minutes: `cargo test -p throughline-tests --test store -- --ignored --nocapture million`, for
//! PostgreSQL as well under `tests/peers/postgres --`.

use std::collections::HashSet;
use std::time::Instant;

use throughline::store::{Filter, Page};

use crate::support::{Fixture, begin, ms, on_postgres, on_sqlite, rows, span};

const SENDERS: u64 = 8;
const BATCH: u64 = 500;
const SPANS_PER_TRACE: u64 = 10;
const FEW: u64 = 40_000;
const MILLION: u64 = 1_000_000;

#[test]
fn each_of_many_spans_is_stored_once_in_sqlite() {
    on_sqlite(|f| Box::pin(each_is_stored_once(f, FEW)));
}

#[test]
fn each_of_many_spans_is_stored_once_in_postgres() {
    on_postgres(|f| Box::pin(each_is_stored_once(f, FEW)));
}

#[test]
#[ignore = "takes a minute or two"]
fn each_of_a_million_spans_is_stored_once_in_sqlite() {
    on_sqlite(|f| Box::pin(each_is_stored_once(f, MILLION)));
}

#[test]
#[ignore = "takes a minute or two"]
fn each_of_a_million_spans_is_stored_once_in_postgres() {
    on_postgres(|f| Box::pin(each_is_stored_once(f, MILLION)));
}

async fn each_is_stored_once(f: Fixture, spans: u64) {
    let begun = Instant::now();
    // Traces lie across the batches and so across the senders.
    let batches = spans / BATCH;
    let mut senders = tokio::task::JoinSet::new();
    for sender in 0..SENDERS {
        let (store, begin) = (f.store.clone(), begin());
        senders.spawn(async move {
            let (mut inserted, mut duplicate) = (0, 0);
            for batch in (sender..batches).step_by(usize::try_from(SENDERS).unwrap()) {
                let made = (0..BATCH).map(|place| {
                    // Neighbours in a batch are of different traces.
                    let number = place * batches + batch;
                    let (trace, id) = (number / SPANS_PER_TRACE + 1, number % SPANS_PER_TRACE + 1);
                    span(u128::from(trace), id, id - 1, begin + ms(trace))
                });
                let made = rows(made);
                for made in if batch % 10 == 0 { vec![made.clone(), made] } else { vec![made] } {
                    let written = store.write(made).await.unwrap();
                    inserted += written.inserted;
                    duplicate += written.duplicate;
                }
            }
            (inserted as u64, duplicate as u64)
        });
    }
    let (mut inserted, mut duplicate) = (0, 0);
    while let Some(sent) = senders.join_next().await {
        let (new, again) = sent.unwrap();
        inserted += new;
        duplicate += again;
    }
    assert_eq!((inserted, duplicate), (spans, batches.div_ceil(10) * BATCH));
    println!("{spans} spans, and {duplicate} of them again, in {:?}", begun.elapsed());

    let traces = spans / SPANS_PER_TRACE;
    let stats = f.store.stats(Filter::new(), None).await.unwrap();
    assert_eq!((stats.all.count, stats.traces), (spans, traces));
    let mut seen = HashSet::new();
    let mut page = Page::first(100).count(false);
    loop {
        let part = f.store.list(Filter::new(), page).await.unwrap();
        for trace in &part.traces {
            assert!(seen.insert(trace.trace_id), "{} comes twice", trace.trace_id);
            assert_eq!((trace.span_count, trace.orphan_count), (SPANS_PER_TRACE, 0), "{}", trace.trace_id);
        }
        match part.next {
            Some(cursor) => page = Page::first(100).count(false).after(cursor),
            None => break,
        }
    }
    assert_eq!(seen.len() as u64, traces);
    println!("looked at in {:?}", begun.elapsed());
}
