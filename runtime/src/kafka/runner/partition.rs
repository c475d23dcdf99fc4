//! The task of a partition: takes records from its queue and hands them to lanes, or handles them itself.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use rdkafka::Message as _;
use rdkafka::message::BorrowedMessage;
use tokio::time::Instant;

use super::counters::Count;
use super::engine::Engine;
use super::error::RunError;
use super::generation::{Generation, Pulled, Taken};
use super::lanes::{Entry, Lanes};
use super::settings::Commit;
use super::tracker::Sequence;
use super::turn::Turn;
use super::work::{Finish, Items, Job, Sequences, Work};

/// librdkafka loses wake-ups (kafka.md R-13).
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Records after which the task lets others of its thread run.
pub(super) const YIELD_AFTER: u32 = 32;

/// Tells the engine if the runtime drops a task that had not ended.
struct Alive {
    generation: Arc<Generation>,
    ended: bool,
}

impl Alive {
    fn end(mut self) {
        self.ended = true;
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        if !self.ended && !self.generation.is_over() {
            self.generation.engine().runtime_gone();
        }
    }
}

/// Takes records until the generation is over.
pub(super) fn run<W: Work>(
    work: Arc<W>,
    lanes: Option<Arc<Lanes<W::Item>>>,
    generation: Arc<Generation>,
) -> impl Future<Output = ()> + Send {
    // Here, because the runtime may drop a task that it never polled.
    let mut alive = Alive { generation, ended: false };
    async move {
        let mut back = None;
        loop {
            let generation = Arc::clone(&alive.generation);
            match &lanes {
                Some(lanes) => into_lanes(&*work, lanes, &generation, &mut back).await,
                None if work.in_batches() => in_batches(&*work, &generation, &mut back).await,
                None => one_by_one(&*work, &generation, &mut back).await,
            }
            let Some(Pull { offset, .. }) = back else { break };
            let Some(next) = succeed(&generation, offset).await else { break };
            alive.generation = next;
        }
        alive.end();
    }
}

/// The generation that begins with this offset, to which the partition went back, when all is done that was taken before:
/// order and watermark hold within a generation (kafka.md K-1, K-3). What is unfinished below the offset would not come
/// again, so it is not given up. `None` if the partition was given up first.
async fn succeed(generation: &Arc<Generation>, offset: i64) -> Option<Arc<Generation>> {
    if !generation.all_done().await {
        return None;
    }
    let next = generation.engine().owned.succeed(generation)?;
    generation.engine().lines.info(format_args!(
        "partition {} of {} goes back to offset {offset}: from there on its generation is {}",
        generation.partition,
        generation.topic.escape_debug(),
        next.number
    ));
    Some(next)
}

/// A record from the queue.
struct Pull<T> {
    offset: i64,
    item: T,
    /// 0 without lanes.
    lane: usize,
}

/// Where a record waits that the partition went back to.
type Back<T> = Option<Pull<T>>;

/// One record after the other.
async fn one_by_one<W: Work>(work: &W, generation: &Arc<Generation>, back: &mut Back<W::Item>) {
    let engine = generation.engine();
    let mut turn = Turn::new(engine);
    let mut job = Job { generation: Arc::clone(generation), sequences: Sequences::One(0) };
    let mut since_yield = 0;
    while !generation.is_over() {
        let Some(pull) = back.take().or_else(|| pull(work, generation, |_| 0)) else {
            turn.pass();
            wait(generation, None).await;
            continue;
        };
        if !turn.take(generation).await {
            return;
        }
        let Some((sequence, Pull { item, .. })) = take(generation, pull, back) else { return };
        job.sequences = Sequences::One(sequence);
        if !handle(work, Items::One(item), &job).await {
            return;
        }
        turn.let_others();
        since_yield += 1;
        if since_yield == YIELD_AFTER {
            since_yield = 0;
            tokio::task::yield_now().await;
        }
    }
}

/// One batch after the other: as many as there are within the wait, which begins with the first.
async fn in_batches<W: Work>(work: &W, generation: &Arc<Generation>, back: &mut Back<W::Item>) {
    let engine = generation.engine();
    let settings = &engine.settings;
    let mut turn = Turn::new(engine);
    let mut batch: Batch<W::Item> = Batch::new(generation);
    while !generation.is_over() {
        let mut deadline = None;
        while batch.items.len() < settings.batch_max {
            // With all places taken, what is here goes first: batches that wait for one another's places never start.
            if !engine.in_flight.try_take() {
                if !batch.items.is_empty() {
                    break;
                }
                // Who has the places may wait for the turn.
                turn.pass();
                if !room(generation).await {
                    return;
                }
            }
            let Some(pull) = back.take().or_else(|| pull(work, generation, |_| 0)) else {
                engine.in_flight.give_back();
                turn.pass();
                if !wait(generation, deadline).await {
                    break;
                }
                continue;
            };
            let Some((sequence, Pull { item, .. })) = take(generation, pull, back) else {
                engine.in_flight.give_back();
                // What came before it goes first.
                break;
            };
            batch.push(sequence, item);
            if deadline.is_none() {
                deadline = Instant::now().checked_add(settings.batch_wait);
            }
        }
        if generation.is_over() || batch.items.is_empty() && back.is_some() {
            return;
        }
        if batch.items.is_empty() {
            continue;
        }
        if !turn.take(generation).await {
            return;
        }
        let (items, sequences, _places) = batch.take();
        let job = Job { generation: Arc::clone(generation), sequences: Sequences::Many(sequences) };
        if !handle(work, Items::Batch(items), &job).await || back.is_some() {
            return;
        }
        turn.let_others();
        tokio::task::yield_now().await;
    }
}

/// Each record into the lane of its key.
async fn into_lanes<W: Work>(
    work: &W,
    lanes: &Lanes<W::Item>,
    generation: &Arc<Generation>,
    back: &mut Back<W::Item>,
) {
    let engine = generation.engine();
    let mut since_yield = 0;
    while !generation.is_over() {
        if !engine.in_flight.try_take() && !room(generation).await {
            return;
        }
        let lane_of = |message: &BorrowedMessage<'_>| lanes.of(message.key(), generation);
        let Some(pull) = back.take().or_else(|| pull(work, generation, lane_of)) else {
            engine.in_flight.give_back();
            wait(generation, None).await;
            continue;
        };
        let place = Places { engine: Arc::clone(engine), count: 1 };
        let Some((sequence, Pull { item, lane, .. })) = take(generation, pull, back) else { return };
        lanes.push(lane, Entry { generation: Arc::clone(generation), sequence, item, _place: place });
        since_yield += 1;
        if since_yield == YIELD_AFTER {
            since_yield = 0;
            tokio::task::yield_now().await;
        }
    }
}

/// Waits for a place in flight; false if the generation ended first.
async fn room(generation: &Generation) -> bool {
    generation.waits_for_room.store(true, std::sync::atomic::Ordering::Relaxed);
    let taken = generation.engine().in_flight.take_unless(generation.over()).await;
    generation.waits_for_room.store(false, std::sync::atomic::Ordering::Relaxed);
    taken
}

/// Waits until there may be messages, 200 ms are over, or the deadline is. False in the last case.
async fn wait(generation: &Generation, deadline: Option<Instant>) -> bool {
    let again = Instant::now() + LOOK_AGAIN;
    let until = deadline.map_or(again, |deadline| deadline.min(again));
    tokio::select! {
        () = generation.wake.notified() => true,
        () = tokio::time::sleep_until(until) => deadline.is_none_or(|deadline| Instant::now() < deadline),
    }
}

/// Notes that a record was taken. `None` if it is too late, or if the partition has gone back: then it waits in `back`.
fn take<T>(generation: &Generation, pull: Pull<T>, back: &mut Back<T>) -> Option<(Sequence, Pull<T>)> {
    match generation.take(pull.offset) {
        Taken::As(sequence) => Some((sequence, pull)),
        Taken::TooLate => None,
        Taken::WentBack => {
            *back = Some(pull);
            None
        }
    }
}

/// The next record, or `None` if there is none just now.
fn pull<W: Work>(
    work: &W,
    generation: &Generation,
    lane: impl Fn(&BorrowedMessage<'_>) -> usize,
) -> Option<Pull<W::Item>> {
    loop {
        let pulled = generation.pull(|message| {
            // User code: a codec.
            let item = catch_unwind(AssertUnwindSafe(|| work.take(message)));
            (message.offset(), item, lane(message))
        });
        match pulled {
            Pulled::Item((offset, Ok(item), lane)) => return Some(Pull { offset, item, lane }),
            Pulled::Item((offset, Err(_), _)) => {
                generation.halt(format!("the record at offset {offset} could not be read: panic"));
                return None;
            }
            Pulled::Empty => return None,
            Pulled::Error(error) => generation.engine().partition_error(generation, error),
        }
    }
}

/// Handles a record or batch, and notes how it ended. False if the partition goes no further.
pub(super) async fn handle<W: Work>(work: &W, items: Items<W::Item>, job: &Job) -> bool {
    let generation = &job.generation;
    let engine = generation.engine();
    let Some(running) = generation.start() else { return false };
    let done = unless_panics(work.run(items, job)).await;
    let (finish, process) = done.map_or((None, None), |done| (Some(done.finish), done.process));
    let uncommitted = match finish {
        Some(Finish::Handled) => job.settle(Count::Handled),
        Some(Finish::Skipped) => job.settle(Count::Skipped),
        Some(Finish::DeadLettered) => job.settle(Count::DeadLettered),
        Some(Finish::Settled) => generation.finish(&[]),
        Some(Finish::Halt { reason }) => {
            generation.halt(reason);
            return false;
        }
        Some(Finish::Stop { error }) => {
            engine.stop_by_itself(Some(RunError::Stopped(error)));
            return false;
        }
        Some(Finish::Abandoned) if generation.is_over() => return false,
        Some(Finish::Abandoned) => {
            generation.halt("a record was given up without a reason".to_owned());
            return false;
        }
        // The policies catch the panics of handlers, so this one is of ours, or of an error's text.
        None => {
            generation.halt("a policy panicked".to_owned());
            return false;
        }
    };
    let Some(uncommitted) = uncommitted else { return false };
    // Before the commit: a revoke waits for handlers, and commits by itself.
    drop(running);
    if engine.settings.commit == Commit::PerRecord {
        // Told by the commit itself; the next one includes this record.
        let _ = engine.commit_now(process).await;
    } else {
        engine.finished(uncommitted);
    }
    true
}

/// `None` if the future panicked.
async fn unless_panics<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    std::future::poll_fn(move |task| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(task))) {
        Ok(polled) => polled.map(Some),
        Err(_) => Poll::Ready(None),
    })
    .await
}

/// Places in flight, given back when this is dropped.
pub(super) struct Places {
    engine: Arc<Engine>,
    count: usize,
}

impl Drop for Places {
    fn drop(&mut self) {
        for _ in 0..self.count {
            self.engine.in_flight.give_back();
        }
    }
}

/// A batch that is being collected; holds a place in flight for each of its records.
struct Batch<T> {
    items: Vec<T>,
    sequences: Vec<u64>,
    places: Places,
}

impl<T> Batch<T> {
    fn new(generation: &Generation) -> Self {
        let places = Places { engine: Arc::clone(generation.engine()), count: 0 };
        Batch { items: Vec::new(), sequences: Vec::new(), places }
    }

    fn push(&mut self, sequence: u64, item: T) {
        self.places.count += 1;
        self.sequences.push(sequence);
        self.items.push(item);
    }

    fn take(&mut self) -> (Vec<T>, Vec<u64>, Places) {
        let empty = Places { engine: Arc::clone(&self.places.engine), count: 0 };
        (
            std::mem::take(&mut self.items),
            std::mem::take(&mut self.sequences),
            std::mem::replace(&mut self.places, empty),
        )
    }
}
