use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::SystemTime;

use opentelemetry_sdk::Resource;
use tokio::sync::Semaphore;

use super::*;
use crate::store::backend::Backend;
use crate::store::sql::{Dialect, Row, Sql};
use crate::store::{Converter, Lift, Maintained, StoreError, StoreHealth};
use crate::testing::samples;

/// A store that writes when it is let, and refuses spans by their names.
#[derive(Debug)]
struct Fake {
    batches: Mutex<Vec<Vec<String>>>,
    gate: Semaphore,
}

impl Fake {
    fn new(open: usize) -> Arc<Self> {
        Arc::new(Self { batches: Mutex::default(), gate: Semaphore::new(open) })
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

    async fn write_batch(&self, spans: Vec<StoredSpan>) -> Result<Written, StoreError> {
        self.gate.acquire().await.unwrap().forget();
        let names: Vec<String> = spans.into_iter().map(|span| span.operation_name).collect();
        self.batches.lock().unwrap().push(names.clone());
        let count = |name| names.iter().filter(|given| *given == name).count();
        if count("panic") > 0 {
            panic!("as asked");
        } else if count("away") > 0 {
            Err(StoreError::unavailable("as asked"))
        } else if count("poison") > 0 {
            Err(StoreError::refused("as asked"))
        } else {
            let rejected = count("bad");
            Ok(Written { inserted: names.len() - rejected, rejected, duplicate: 0 })
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

type Answer<'a> = Pin<Box<dyn Future<Output = Result<Written, Refusal>> + 'a>>;

/// Hands spans over: when this returns they wait.
async fn hand_over<'a>(ingest: &'a Ingest, names: &[&'static str]) -> Answer<'a> {
    let mut answer: Answer<'a> = Box::pin(ingest.write(spans(names)));
    poll_fn(|cx| {
        assert!(answer.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
    answer
}

/// An ingest whose store is busy with a first span, and the answer to that.
async fn busy(fake: &Arc<Fake>, max_bytes: usize) -> (Ingest, tokio::task::JoinHandle<()>) {
    let ingest = Ingest::new(Arc::clone(fake) as Arc<dyn Store>, max_bytes);
    let first = ingest.clone();
    let first = tokio::spawn(async move {
        first.write(spans(&["first"])).await.unwrap();
    });
    while !ingest.inner.lock().is_written || !ingest.inner.lock().waiting.is_empty() {
        tokio::task::yield_now().await;
    }
    (ingest, first)
}

fn inserted(written: Result<Written, Refusal>) -> usize {
    written.unwrap().inserted
}

#[tokio::test]
async fn requests_that_wait_for_the_store_are_one_batch() {
    let fake = Fake::new(0);
    let (ingest, first) = busy(&fake, 1 << 20).await;
    let a = hand_over(&ingest, &["a1", "a2"]).await;
    let b = hand_over(&ingest, &["b"]).await;
    fake.gate.add_permits(2);
    assert_eq!((inserted(a.await), inserted(b.await)), (2, 1));
    first.await.unwrap();
    assert_eq!(fake.batches(), [vec!["first"], vec!["a1", "a2", "b"]]);
    ingest.idle().await;
}

#[tokio::test]
async fn batches_are_bounded() {
    let fake = Fake::new(0);
    let (ingest, first) = busy(&fake, 1 << 30).await;
    let many = vec!["x"; MOST_SPANS - 1];
    let a = hand_over(&ingest, &many).await;
    let b = hand_over(&ingest, &["b1", "b2"]).await;
    fake.gate.add_permits(3);
    assert_eq!((inserted(a.await), inserted(b.await)), (MOST_SPANS - 1, 2));
    first.await.unwrap();
    assert_eq!(fake.batches().iter().map(Vec::len).collect::<Vec<_>>(), [1, MOST_SPANS - 1, 2]);
}

#[tokio::test]
async fn each_request_is_told_of_its_own_rejected_spans() {
    let fake = Fake::new(0);
    let (ingest, first) = busy(&fake, 1 << 20).await;
    let good = hand_over(&ingest, &["a"]).await;
    let bad = hand_over(&ingest, &["bad", "b", "bad"]).await;
    fake.gate.add_permits(9);
    assert_eq!(good.await.unwrap().rejected, 0);
    assert_eq!(bad.await.unwrap().rejected, 2);
    first.await.unwrap();
}

#[tokio::test]
async fn spans_that_the_store_refuses_cost_their_own_request_alone() {
    let fake = Fake::new(0);
    let (ingest, first) = busy(&fake, 1 << 20).await;
    let good = hand_over(&ingest, &["a"]).await;
    let poison = hand_over(&ingest, &["poison"]).await;
    fake.gate.add_permits(9);
    assert_eq!(inserted(good.await), 1);
    assert_eq!(poison.await, Err(Refusal::Refused));
    first.await.unwrap();
}

#[tokio::test]
async fn store_that_is_away_is_told_to_all_who_wait() {
    let fake = Fake::new(0);
    let (ingest, first) = busy(&fake, 1 << 20).await;
    let a = hand_over(&ingest, &["a"]).await;
    let b = hand_over(&ingest, &["away"]).await;
    let many = vec!["x"; MOST_SPANS];
    let next_batch = hand_over(&ingest, &many).await;
    fake.gate.add_permits(9);
    assert_eq!((a.await, b.await), (Err(Refusal::Away), Err(Refusal::Away)));
    assert_eq!(next_batch.await, Err(Refusal::Away), "without another attempt");
    first.await.unwrap();
    assert_eq!(fake.batches().len(), 2);
    assert_eq!(inserted(ingest.write(spans(&["later"])).await), 1, "and then it is back");
}

#[tokio::test]
async fn no_more_waits_than_may() {
    let fake = Fake::new(0);
    let one = spans(&["x"]).iter().map(size).sum::<usize>();
    let (ingest, first) = busy(&fake, 3 * one).await;
    let second = hand_over(&ingest, &["x"]).await;
    assert_eq!(ingest.write(spans(&["x"; 2])).await, Err(Refusal::Full));
    fake.gate.add_permits(9);
    assert_eq!(inserted(second.await), 1);
    first.await.unwrap();
    ingest.idle().await;
    let larger_than_the_bound = ["x"; 10];
    assert_eq!(inserted(ingest.write(spans(&larger_than_the_bound)).await), 10);
}

#[tokio::test]
async fn spans_of_a_caller_that_left_are_written() {
    let fake = Fake::new(0);
    let (ingest, first) = busy(&fake, 1 << 20).await;
    drop(hand_over(&ingest, &["left"]).await);
    first.abort();
    fake.gate.add_permits(2);
    ingest.idle().await;
    assert_eq!(fake.batches(), [["first"], ["left"]]);
    assert_eq!(ingest.inner.lock().bytes, 0);
}

#[tokio::test]
async fn panic_of_the_store_is_told_and_the_next_request_is_written() {
    let fake = Fake::new(9);
    let ingest = Ingest::new(Arc::clone(&fake) as Arc<dyn Store>, 1 << 20);
    assert_eq!(ingest.write(spans(&["panic"])).await, Err(Refusal::Away));
    assert_eq!(inserted(ingest.write(spans(&["next"])).await), 1);
}

#[test]
fn runtime_that_ended_in_the_middle_leaves_no_one_waiting() {
    let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
    let fake = Fake::new(0);
    let first = runtime();
    let (ingest, _) = first.block_on(busy(&fake, 1 << 20));
    drop(first);
    fake.gate.add_permits(1);
    assert_eq!(inserted(runtime().block_on(ingest.write(spans(&["second"])))), 1);
}

#[tokio::test]
async fn no_spans_are_no_batch() {
    let fake = Fake::new(0);
    let ingest = Ingest::new(Arc::clone(&fake) as Arc<dyn Store>, 1);
    assert_eq!(ingest.write(Vec::new()).await, Ok(Written::default()));
    ingest.idle().await;
}
