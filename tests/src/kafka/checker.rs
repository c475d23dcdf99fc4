//! Records of a run: every send, every delivery with its outcome, every commit, in the order in which they happened.
//!
//! What the records have to satisfy is in [`verdict`](super::verdict).

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use opentelemetry::TraceId;

/// A record's place in the log.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
}

impl Place {
    /// The place of a record.
    pub fn new(topic: &str, partition: i32, offset: i64) -> Self {
        Place { topic: topic.into(), partition, offset }
    }
}

/// What became of a send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ack {
    /// It is not known whether the broker has the record: no answer yet, or a timeout.
    Unknown,
    /// The broker stored the record here.
    At(Place),
    /// The record never left the producer.
    Refused,
}

/// A record that a test sent. Its index is the value of the record, as text.
#[derive(Clone, Debug)]
pub struct Sent {
    /// The key.
    pub key: Option<String>,
    /// The trace of the send.
    pub trace: TraceId,
    /// What became of it.
    pub ack: Ack,
}

/// How one attempt of a handler ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The record is done.
    Handled,
    /// The policy says that this record is passed over.
    Skipped,
    /// The attempt failed; another follows, or a dead letter.
    Failed,
    /// The handler was dropped before it returned.
    Abandoned,
}

/// One attempt at a record.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The value: the number of the send, if there is one.
    pub send: Option<usize>,
    /// Where the record is.
    pub place: Place,
    /// The key.
    pub key: Option<String>,
    /// Which consumer of the group.
    pub member: u32,
    /// The generation of the partition at that consumer.
    pub generation: u64,
    /// 1 for the first attempt.
    pub attempt: u32,
    /// When it began.
    pub begun: u64,
    /// When and how it ended.
    pub ended: Option<(u64, Outcome)>,
}

/// An offset that a consumer asked the broker to store.
#[derive(Clone, Debug)]
pub struct Commit {
    /// The topic, the partition and the offset of the next record to read.
    pub next: Place,
    /// When the request went by.
    pub at: u64,
}

/// Everything that was recorded.
#[derive(Clone, Debug, Default)]
pub struct Records {
    /// By number.
    pub sends: Vec<Sent>,
    /// In the order in which they began.
    pub deliveries: Vec<Delivery>,
    /// In the order in which they went by.
    pub commits: Vec<Commit>,
    /// Numbers of the sends that were found in a dead-letter topic, with the number of dead letters.
    pub dead_letters: HashMap<usize, usize>,
    now: u64,
    /// By number: whether a delivery or a dead letter was the end of it.
    done: Vec<bool>,
    progress: Progress,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Acknowledged sends.
    pub acknowledged: usize,
    /// Those of them that are handled, skipped or dead letters.
    pub done: usize,
}

impl Records {
    /// How many acquisitions of partitions had a delivery.
    pub fn generations(&self) -> usize {
        let all = self.deliveries.iter().map(|delivery| (delivery.member, delivery.generation));
        all.collect::<HashSet<_>>().len()
    }

    fn tick(&mut self) -> u64 {
        self.now += 1;
        self.now
    }

    fn is_acknowledged(&self, send: usize) -> bool {
        self.sends.get(send).is_some_and(|sent| matches!(sent.ack, Ack::At(_)))
    }

    fn done(&mut self, send: usize) {
        if let Some(done) = self.done.get_mut(send)
            && !std::mem::replace(done, true)
            && self.is_acknowledged(send)
        {
            self.progress.done += 1;
        }
    }
}

/// Where the parts of a run write down what they do. Clones share the records.
#[derive(Clone, Debug, Default)]
pub struct Checker(Arc<Mutex<Records>>);

impl Checker {
    /// A checker without records.
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, Records> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A copy of everything recorded so far.
    pub fn records(&self) -> Records {
        self.lock().clone()
    }

    /// A send begins; its number, as text, is to be the value of the record.
    pub fn sending(&self, key: Option<&str>, trace: TraceId) -> usize {
        let mut records = self.lock();
        records.sends.push(Sent { key: key.map(str::to_owned), trace, ack: Ack::Unknown });
        records.done.push(false);
        records.sends.len() - 1
    }

    /// The send is answered.
    pub fn answered(&self, send: usize, ack: Ack) {
        let mut records = self.lock();
        if let Some(sent) = records.sends.get_mut(send) {
            sent.ack = ack;
        }
        if records.is_acknowledged(send) {
            records.progress.acknowledged += 1;
            records.progress.done += usize::from(records.done.get(send) == Some(&true));
        }
    }

    /// A handler begins. Dropping the value ends the attempt as [`Outcome::Abandoned`].
    pub fn begins(&self, delivery: Begins<'_>) -> Running {
        let send = delivery.value.and_then(|value| str::from_utf8(value).ok()?.parse().ok());
        let key = delivery.key.map(|key| String::from_utf8_lossy(key).into_owned());
        let mut records = self.lock();
        let begun = records.tick();
        let Begins { place, member, generation, attempt, .. } = delivery;
        records.deliveries.push(Delivery {
            send,
            place,
            key,
            member,
            generation,
            attempt,
            begun,
            ended: None,
        });
        Running { checker: self.clone(), index: records.deliveries.len() - 1 }
    }

    /// An offset goes by on its way to the broker.
    pub fn commits(&self, topic: &str, partition: i32, offset: i64) {
        let mut records = self.lock();
        let at = records.tick();
        records.commits.push(Commit { next: Place::new(topic, partition, offset), at });
    }

    /// The value of a record in a dead-letter topic.
    pub fn dead_letter(&self, value: Option<&[u8]>) {
        let send = value.and_then(|value| str::from_utf8(value).ok()?.parse().ok()).unwrap_or(usize::MAX);
        let mut records = self.lock();
        *records.dead_letters.entry(send).or_default() += 1;
        records.done(send);
    }

    /// How many sends have begun.
    pub fn sends(&self) -> usize {
        self.lock().sends.len()
    }

    /// Of so many first sends, the places of those that are acknowledged and not done.
    pub fn undone(&self, sends: usize) -> Vec<Place> {
        let records = self.lock();
        let undone = records.sends.iter().zip(&records.done).take(sends).filter(|(_, done)| !**done);
        undone
            .filter_map(|(sent, _)| match &sent.ack {
                Ack::At(place) => Some(place.clone()),
                Ack::Unknown | Ack::Refused => None,
            })
            .collect()
    }

    /// How far the run is.
    pub fn progress(&self) -> Progress {
        self.lock().progress
    }
}

/// What is known of an attempt when it begins.
#[derive(Clone, Debug)]
pub struct Begins<'r> {
    /// Where the record is.
    pub place: Place,
    /// The key.
    pub key: Option<&'r [u8]>,
    /// The value.
    pub value: Option<&'r [u8]>,
    /// Which consumer of the group.
    pub member: u32,
    /// The generation of the partition at that consumer.
    pub generation: u64,
    /// 1 for the first attempt.
    pub attempt: u32,
}

/// An attempt under way.
#[derive(Debug)]
#[must_use = "dropping it ends the attempt as abandoned"]
pub struct Running {
    checker: Checker,
    index: usize,
}

impl Running {
    /// The handler is about to return.
    pub fn ends(self, outcome: Outcome) {
        self.end(outcome);
    }

    fn end(&self, outcome: Outcome) {
        let mut records = self.checker.lock();
        let at = records.tick();
        if let Some(delivery) = records.deliveries.get_mut(self.index) {
            delivery.ended.get_or_insert((at, outcome));
            if matches!(delivery.ended, Some((_, Outcome::Handled | Outcome::Skipped)))
                && let Some(send) = delivery.send
            {
                records.done(send);
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end(Outcome::Abandoned);
    }
}
