//! What the records of a run have to satisfy, judged from the records alone (kafka.md, section 6, (a) to (f)).

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use throughline::Report;

use super::checker::{Ack, Delivery, Outcome, Place, Records};
use super::spans::ProcessSpan;

/// Within what the order of records holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// A partition.
    Partition,
    /// Equal keys of a partition.
    Key,
}

/// Everything that was found, by promise. Each text names the record.
#[derive(Clone, Debug, Default)]
#[must_use = "a verdict that nobody reads is none"]
pub struct Verdict {
    /// (a) Acknowledged, and neither handled nor skipped nor a dead letter.
    pub lost: Vec<String>,
    /// (b) Delivered, and nobody sent it.
    pub from_nowhere: Vec<String>,
    /// (c) Begun before its turn, or while the one before was under way.
    pub out_of_order: Vec<String>,
    /// (d) Committed beyond the first unfinished record.
    pub committed_too_far: Vec<String>,
    /// (e) Other process spans than attempts, or one that does not lead back to the send.
    pub without_span: Vec<String>,
    /// (f) Spans that are neither exported nor dropped for a reason.
    pub spans_missing: Vec<String>,
    /// Records that were handled more than once, and those that the producer wrote more than once.
    pub duplicates: usize,
    /// Acknowledged records.
    pub acknowledged: usize,
    /// Attempts.
    pub deliveries: usize,
    /// Commits.
    pub commits: usize,
}

impl Verdict {
    /// Judges a run that has come to rest.
    pub fn of(records: &Records, order: Order, spans: &[ProcessSpan], report: &Report) -> Self {
        let mut verdict = Verdict {
            acknowledged: records.sends.iter().filter(|sent| matches!(sent.ack, Ack::At(_))).count(),
            deliveries: records.deliveries.len(),
            commits: records.commits.len(),
            ..Verdict::default()
        };
        verdict.nothing_lost(records);
        verdict.nothing_from_nowhere(records);
        verdict.in_order(records, order);
        verdict.commits_follow(records);
        verdict.spans_lead_back(records, spans);
        verdict.spans_are_counted(report);
        verdict
    }

    /// Whether no promise was broken.
    pub fn passes(&self) -> bool {
        self.findings().iter().all(|(_, found)| found.is_empty())
    }

    /// # Panics
    ///
    /// If a promise was broken.
    #[track_caller]
    pub fn assert_passes(&self) {
        assert!(self.passes(), "{self}");
    }

    fn findings(&self) -> [(&'static str, &Vec<String>); 6] {
        [
            ("(a) lost", &self.lost),
            ("(b) from nowhere", &self.from_nowhere),
            ("(c) out of order", &self.out_of_order),
            ("(d) committed too far", &self.committed_too_far),
            ("(e) without its span", &self.without_span),
            ("(f) spans missing", &self.spans_missing),
        ]
    }

    fn nothing_lost(&mut self, records: &Records) {
        let mut done = vec![0_usize; records.sends.len()];
        for delivery in records.deliveries.iter().filter(|delivery| is_done(delivery)) {
            if let Some(count) = delivery.send.and_then(|send| done.get_mut(send)) {
                *count += 1;
            }
        }
        for (number, (sent, done)) in records.sends.iter().zip(&done).enumerate() {
            let dead = records.dead_letters.get(&number).copied().unwrap_or(0);
            self.duplicates += (done + dead).saturating_sub(1);
            if let Ack::At(place) = &sent.ack
                && done + dead == 0
            {
                self.lost.push(format!("send {number} at {place}"));
            }
        }
    }

    fn nothing_from_nowhere(&mut self, records: &Records) {
        for delivery in &records.deliveries {
            match delivery.send.and_then(|send| records.sends.get(send)) {
                None => self.from_nowhere.push(format!("{} is nobody's", delivery.place)),
                Some(sent) if sent.ack == Ack::Refused => {
                    self.from_nowhere.push(format!("{} was refused", delivery.place));
                }
                Some(sent) if sent.key != delivery.key => {
                    self.from_nowhere.push(format!("{} has another key", delivery.place));
                }
                // One that is acknowledged elsewhere was written twice by the producer, which is no fault by itself.
                Some(_) => {}
            }
        }
        for number in records.dead_letters.keys().filter(|number| **number >= records.sends.len()) {
            self.from_nowhere.push(format!("a dead letter is nobody's ({number})"));
        }
    }

    fn in_order(&mut self, records: &Records, order: Order) {
        type Lane<'r> = (u32, u64, &'r Arc<str>, i32, Option<&'r str>);
        /// The delivery before, and the highest offset that has begun.
        type Seen<'r> = (&'r Delivery, i64);
        let mut before: HashMap<Lane<'_>, Seen<'_>> = HashMap::new();
        for delivery in &records.deliveries {
            let key = if order == Order::Key { delivery.key.as_deref() } else { None };
            let Place { topic, partition, offset } = &delivery.place;
            let lane = (delivery.member, delivery.generation, topic, *partition, key);
            let Some((last, highest)) = before.get(&lane).copied() else {
                before.insert(lane, (delivery, *offset));
                continue;
            };
            before.insert(lane, (delivery, highest.max(*offset)));
            let place = &delivery.place;
            if *offset < highest || (*offset == highest && delivery.attempt <= last.attempt) {
                self.out_of_order.push(format!(
                    "attempt {} at {place} began after attempt {} at {}",
                    delivery.attempt, last.attempt, last.place
                ));
            }
            if last.ended.is_none_or(|(ended, _)| ended > delivery.begun) {
                self.out_of_order.push(format!("{place} began while {} was under way", last.place));
            }
        }
    }

    fn commits_follow(&mut self, records: &Records) {
        // When each record was finished first; `u64::MAX` for one that never was.
        let mut finished: HashMap<(&str, i32), BTreeMap<i64, u64>> = HashMap::new();
        for sent in &records.sends {
            if let Ack::At(Place { topic, partition, offset }) = &sent.ack {
                finished.entry((topic, *partition)).or_default().entry(*offset).or_insert(u64::MAX);
            }
        }
        for delivery in &records.deliveries {
            let Place { topic, partition, offset } = &delivery.place;
            let place = finished.entry((topic, *partition)).or_default().entry(*offset).or_insert(u64::MAX);
            let dead = delivery.send.is_some_and(|send| records.dead_letters.contains_key(&send));
            if let Some((at, outcome)) = delivery.ended
                && (is_done(delivery) || (dead && matches!(outcome, Outcome::Failed | Outcome::Abandoned)))
            {
                *place = at.min(*place);
            }
        }
        // A dead letter that no handler was given (it could not be decoded): when it was finished nobody saw.
        for dead in records.dead_letters.keys().filter_map(|send| records.sends.get(*send)) {
            if let Ack::At(Place { topic, partition, offset }) = &dead.ack
                && let Some(at) =
                    finished.get_mut(&(&**topic, *partition)).and_then(|all| all.get_mut(offset))
                && *at == u64::MAX
            {
                *at = 0;
            }
        }
        // When everything up to an offset was finished.
        let reached: HashMap<_, Vec<(i64, u64)>> = finished
            .into_iter()
            .map(|(partition, offsets)| {
                let all = offsets.into_iter().scan(0, |latest, (offset, at)| {
                    *latest = at.max(*latest);
                    Some((offset, *latest))
                });
                (partition, all.collect())
            })
            .collect();
        for commit in &records.commits {
            let Some(reached) = reached.get(&(&*commit.next.topic, commit.next.partition)) else { continue };
            let below = reached.partition_point(|(offset, _)| *offset < commit.next.offset);
            let first = reached[..below].partition_point(|(_, at)| *at < commit.at);
            if first < below {
                let unfinished = reached[first].0;
                self.committed_too_far.push(format!("{} while {unfinished} was unfinished", commit.next));
            }
        }
    }

    fn spans_lead_back(&mut self, records: &Records, spans: &[ProcessSpan]) {
        let mut of_place: HashMap<&Place, Vec<&ProcessSpan>> = HashMap::new();
        for span in spans {
            of_place.entry(&span.place).or_default().push(span);
        }
        let mut attempts: HashMap<&Place, (usize, bool, Option<usize>)> = HashMap::new();
        for delivery in &records.deliveries {
            let (count, handled, send) = attempts.entry(&delivery.place).or_default();
            *count += 1;
            *handled |= is_done(delivery);
            *send = delivery.send;
        }
        for (place, (count, handled, send)) in attempts {
            if !handled {
                continue;
            }
            let spans = of_place.remove(place).unwrap_or_default();
            if spans.len() != count {
                self.without_span.push(format!("{place}: {count} attempts, {} spans", spans.len()));
            }
            let Some(sent) = send.and_then(|send| records.sends.get(send)) else { continue };
            if spans.iter().any(|span| !span.traces.contains(&sent.trace)) {
                self.without_span.push(format!("{place}: a span without the trace of its send"));
            }
        }
    }

    fn spans_are_counted(&mut self, report: &Report) {
        if report.unfinished > 0 {
            self.spans_missing.push(format!("{} spans never ended", report.unfinished));
        }
        if report.ended != report.collected + report.dropped.total() {
            self.spans_missing.push(report.to_string());
        }
        for exporter in &report.exporters {
            if exporter.undelivered > 0 || report.collected != exporter.exported + exporter.dropped.total() {
                self.spans_missing.push(report.to_string());
            }
        }
    }
}

fn is_done(delivery: &Delivery) -> bool {
    matches!(delivery.ended, Some((_, Outcome::Handled | Outcome::Skipped)))
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]@{}", self.topic, self.partition, self.offset)
    }
}

impl fmt::Display for Verdict {
    /// The numbers, and of each finding the first few.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Verdict { acknowledged, deliveries, commits, duplicates, .. } = self;
        write!(
            f,
            "{acknowledged} acknowledged, {deliveries} attempts, {duplicates} duplicates, {commits} commits"
        )?;
        for (name, found) in self.findings().into_iter().filter(|(_, found)| !found.is_empty()) {
            write!(f, "\n  {name}: {}", found.len())?;
            for text in found.iter().take(10) {
                write!(f, "\n    {text}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
