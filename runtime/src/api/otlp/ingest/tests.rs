use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::Poll;
use std::time::SystemTime;

use opentelemetry_sdk::Resource;
use tokio::sync::Semaphore;

use super::*;
use crate::store::backend::Backend;
use crate::store::batch::Fate;
use crate::store::gather::Gather;
use crate::store::sql::{Dialect, Row, Sql};
use crate::store::{Converter, Lift, Maintained, StoreHealth};
use crate::testing::samples;

/// A store that writes when it is let, and refuses spans by their names.
#[derive(Debug)]
struct Fake {
    gather: Gather,
    batches: Mutex<Vec<Vec<String>>>,
    gate: Semaphore,
}

impl Fake {
    fn new(open: usize) -> Arc<Self> {
        let (gather, gate) = (Gather::new(1), Semaphore::new(open));
        Arc::new(Self { gather, batches: Mutex::default(), gate })
    }

    fn batches(&self) -> Vec<Vec<String>> {
        self.batches.lock().unwrap().clone()
    }
}

impl Backend for Fake {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    async fn migrate_schema(&self) -> Result<i32, StoreError> {
        Ok(1)
    }

    fn gather(&self) -> &Gather {
        &self.gather
    }

    async fn write_batch(&self, spans: Arc<Vec<StoredSpan>>) -> Result<Vec<Fate>, StoreError> {
        let names: Vec<String> = spans.iter().map(|span| span.operation_name.clone()).collect();
        self.batches.lock().unwrap().push(names.clone());
        self.gate.acquire().await.unwrap().forget();
        match names[0].as_str() {
            "panic" => panic!("as asked"),
            "away" => Err(StoreError::unavailable("as asked")),
            "poison" => Err(StoreError::refused("as asked")),
            _ => Ok(vec![Fate::Inserted; names.len()]),
        }
    }

    async fn rows(&self, _: Sql) -> Result<Vec<Row>, StoreError> {
        Ok(Vec::new())
    }

    async fn maintain_at(&self, _: SystemTime) -> Result<Maintained, StoreError> {
        Ok(Maintained::default())
    }

    async fn state(&self) -> Result<StoreHealth, StoreError> {
        Ok(StoreHealth::default())
    }
}

fn spans(names: &[&'static str]) -> Vec<StoredSpan> {
    let mut converter = Converter::new(&Resource::builder_empty().build(), Lift::default());
    names.iter().map(|name| converter.convert(&samples::span(1, 1, 0, name))).collect()
}

fn ingest(fake: &Arc<Fake>, max_bytes: usize) -> Ingest {
    Ingest::new(Arc::clone(fake) as Arc<dyn Store>, max_bytes)
}

type Answer<'a> = Pin<Box<dyn Future<Output = Result<Written, Refusal>> + 'a>>;

/// Hands spans over: when this returns they wait, and the store has the first of them.
async fn hand_over<'a>(fake: &Fake, ingest: &'a Ingest, names: &[&'static str]) -> Answer<'a> {
    let mut answer: Answer<'a> = Box::pin(ingest.write(spans(names)));
    poll_fn(|cx| {
        assert!(answer.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
    while fake.batches().is_empty() {
        tokio::task::yield_now().await;
    }
    answer
}

fn inserted(written: Result<Written, Refusal>) -> usize {
    written.unwrap().inserted
}

#[tokio::test(start_paused = true)]
async fn store_that_took_long_to_be_away_is_told_to_all_who_wait() {
    let fake = Fake::new(0);
    let ingest = ingest(&fake, 1 << 20);
    let first = hand_over(&fake, &ingest, &["away"]).await;
    let second = hand_over(&fake, &ingest, &["b"]).await;
    tokio::time::advance(PATIENCE).await;
    fake.gate.add_permits(1);
    assert_eq!((first.await, second.await), (Err(Refusal::Away), Err(Refusal::Away)), "the second at once");
    fake.gate.add_permits(9);
    assert_eq!(inserted(ingest.write(spans(&["later"])).await), 1, "and then it is back");
    ingest.idle().await;
}

#[tokio::test(start_paused = true)]
async fn transaction_that_failed_at_once_ends_no_other() {
    let fake = Fake::new(0);
    let ingest = ingest(&fake, 1 << 20);
    let first = hand_over(&fake, &ingest, &["away"]).await;
    let second = hand_over(&fake, &ingest, &["b"]).await;
    fake.gate.add_permits(2);
    assert_eq!(first.await, Err(Refusal::Away));
    assert_eq!(inserted(second.await), 1);
}

#[tokio::test]
async fn spans_that_the_store_refuses_are_refused() {
    let fake = Fake::new(9);
    let ingest = ingest(&fake, 1 << 20);
    assert_eq!(ingest.write(spans(&["poison"])).await, Err(Refusal::Refused));
    assert_eq!(inserted(ingest.write(spans(&["next"])).await), 1);
}

#[tokio::test]
async fn no_more_waits_than_may() {
    let fake = Fake::new(0);
    let one = spans(&["x"]).iter().map(size).sum::<usize>();
    let ingest = ingest(&fake, 3 * one);
    let first = hand_over(&fake, &ingest, &["x"]).await;
    let second = hand_over(&fake, &ingest, &["x"]).await;
    assert_eq!(ingest.write(spans(&["x"; 2])).await, Err(Refusal::Full));
    fake.gate.add_permits(9);
    assert_eq!((inserted(first.await), inserted(second.await)), (1, 1));
    ingest.idle().await;
    let larger_than_the_bound = ["x"; 10];
    assert_eq!(inserted(ingest.write(spans(&larger_than_the_bound)).await), 10);
}

#[tokio::test]
async fn spans_of_a_caller_that_left_are_written() {
    let fake = Fake::new(0);
    let ingest = ingest(&fake, 1 << 20);
    drop(hand_over(&fake, &ingest, &["first"]).await);
    drop(hand_over(&fake, &ingest, &["second"]).await);
    fake.gate.add_permits(2);
    ingest.idle().await;
    assert_eq!(fake.batches(), [["first"], ["second"]]);
}

#[tokio::test]
async fn panic_of_the_store_is_told_and_the_next_request_is_written() {
    let fake = Fake::new(9);
    let ingest = ingest(&fake, 1 << 20);
    assert_eq!(ingest.write(spans(&["panic"])).await, Err(Refusal::Away));
    assert_eq!(inserted(ingest.write(spans(&["next"])).await), 1);
    ingest.idle().await;
}

#[test]
fn runtime_that_ended_in_the_middle_leaves_no_one_waiting() {
    let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
    let fake = Fake::new(0);
    let ingest = ingest(&fake, 1 << 20);
    let first = runtime();
    let answer = first.block_on(hand_over(&fake, &ingest, &["first"]));
    drop(first);
    assert_eq!(runtime().block_on(answer), Err(Refusal::Away));
    fake.gate.add_permits(1);
    assert_eq!(inserted(runtime().block_on(ingest.write(spans(&["second"])))), 1);
}

#[tokio::test]
async fn no_spans_are_no_batch() {
    let fake = Fake::new(0);
    let ingest = ingest(&fake, 1);
    assert_eq!(ingest.write(Vec::new()).await, Ok(Written::default()));
    ingest.idle().await;
}
