//! For each promise, records that break just that one.

use opentelemetry::TraceId;
use throughline::{ExporterReport, Report};

use super::super::checker::{Ack, Begins, Checker, Outcome, Place};
use super::super::spans::ProcessSpan;
use super::{Order, Verdict};

/// A run of one partition, for one consumer.
#[derive(Default)]
struct Run {
    checker: Checker,
    spans: Vec<ProcessSpan>,
}

fn trace(send: usize) -> TraceId {
    TraceId::from(u128::try_from(send).unwrap() + 1)
}

fn place(offset: usize) -> Place {
    Place::new("orders", 0, i64::try_from(offset).unwrap())
}

impl Run {
    /// So many acknowledged sends, at the offsets of their numbers.
    fn of(sends: usize) -> Self {
        let run = Run::default();
        for send in 0..sends {
            let number = run.checker.sending(None, trace(send));
            run.checker.answered(number, Ack::At(place(send)));
        }
        run
    }

    fn begin(&mut self, send: usize, attempt: u32) -> super::super::checker::Running {
        self.spans.push(ProcessSpan { place: place(send), traces: vec![trace(send)] });
        self.begin_at(place(send), send, attempt, 1)
    }

    fn begin_at(
        &self,
        place: Place,
        send: usize,
        attempt: u32,
        generation: u64,
    ) -> super::super::checker::Running {
        let value = send.to_string();
        let value = Some(value.as_bytes());
        self.checker.begins(Begins { place, key: None, value, member: 0, generation, attempt })
    }

    fn handle(&mut self, send: usize) {
        self.begin(send, 1).ends(Outcome::Handled);
    }

    fn commit(&self, next: i64) {
        self.checker.commits("orders", 0, next);
    }

    /// What was found: the letters of the promises that were broken.
    fn judged(&self) -> (String, Verdict) {
        self.judged_with(&Report::default(), Order::Partition)
    }

    fn judged_with(&self, report: &Report, order: Order) -> (String, Verdict) {
        let verdict = Verdict::of(&self.checker.records(), order, &self.spans, report);
        let broken = verdict
            .findings()
            .into_iter()
            .filter(|(_, found)| !found.is_empty())
            .map(|(name, _)| &name[1..2]);
        (broken.collect(), verdict)
    }
}

#[test]
fn a_good_run_passes() {
    let mut run = Run::of(3);
    run.handle(0);
    run.begin(1, 1).ends(Outcome::Failed);
    run.commit(1);
    run.begin(1, 2).ends(Outcome::Skipped);
    run.begin(2, 1).ends(Outcome::Failed);
    run.begin(2, 2).ends(Outcome::Failed);
    run.checker.dead_letter(Some(b"2"));
    run.commit(3);
    let (broken, verdict) = run.judged();
    assert_eq!((broken.as_str(), verdict.duplicates), ("", 0), "{verdict}");
    verdict.assert_passes();
}

/// (a)
#[test]
fn an_acknowledged_record_that_was_not_handled_is_lost() {
    let mut run = Run::of(2);
    run.handle(0);
    assert_eq!(run.judged().0, "a");
    // Neither a failure nor an abandoned attempt is the end of it.
    run.begin(1, 1).ends(Outcome::Failed);
    drop(run.begin(1, 2));
    assert_eq!(run.judged().0, "a");
    run.begin(1, 3).ends(Outcome::Handled);
    assert_eq!(run.judged().0, "");
}

/// (a): a send without an answer may be missing, or be there.
#[test]
fn an_unanswered_send_may_go_either_way() {
    let mut run = Run::of(1);
    run.handle(0);
    run.checker.sending(None, trace(1));
    assert_eq!(run.judged().0, "");
    run.handle(1);
    assert_eq!(run.judged().0, "");
}

/// (b)
#[test]
fn a_record_that_nobody_sent_is_from_nowhere() {
    for value in ["1", "x", "-1"] {
        let mut run = Run::of(1);
        run.handle(0);
        let value = Some(value.as_bytes());
        let stray = Begins { place: place(1), key: None, value, member: 0, generation: 1, attempt: 1 };
        run.checker.begins(stray).ends(Outcome::Failed);
        assert_eq!(run.judged().0, "b");
    }
}

/// (b)
#[test]
fn a_refused_record_and_one_with_another_key_are_from_nowhere() {
    let mut run = Run::of(1);
    run.handle(0);
    let refused = run.checker.sending(None, trace(1));
    run.checker.answered(refused, Ack::Refused);
    run.begin(1, 1).ends(Outcome::Failed);
    assert_eq!(run.judged().0, "b");

    let mut run = Run::default();
    let sent = run.checker.sending(Some("k"), trace(0));
    run.checker.answered(sent, Ack::At(place(0)));
    run.handle(0);
    assert_eq!(run.judged().0, "b");
}

/// (b)
#[test]
fn a_dead_letter_of_nothing_is_from_nowhere() {
    let mut run = Run::of(1);
    run.handle(0);
    run.checker.dead_letter(Some(b"1"));
    assert_eq!(run.judged().0, "b");
}

/// (c)
#[test]
fn a_record_before_its_turn_is_out_of_order() {
    let mut run = Run::of(2);
    run.handle(1);
    run.handle(0);
    assert_eq!(run.judged().0, "c");
}

/// (c)
#[test]
fn an_attempt_after_the_next_record_began_is_out_of_order() {
    let mut run = Run::of(2);
    run.begin(0, 1).ends(Outcome::Failed);
    run.handle(1);
    run.begin(0, 2).ends(Outcome::Handled);
    assert_eq!(run.judged().0, "c");
}

/// (c)
#[test]
fn two_records_at_once_are_out_of_order_unless_their_keys_differ() {
    for (key, broken) in [("same", "c"), ("other", "")] {
        let checker = Checker::new();
        let mut running = Vec::new();
        for (send, key) in ["same", key].into_iter().enumerate() {
            let number = checker.sending(Some(key), trace(send));
            checker.answered(number, Ack::At(place(send)));
        }
        for (send, key) in ["same", key].into_iter().enumerate() {
            let (value, key) = (send.to_string(), Some(key.as_bytes()));
            let value = Some(value.as_bytes());
            running.push(checker.begins(Begins {
                place: place(send),
                key,
                value,
                member: 0,
                generation: 1,
                attempt: 1,
            }));
        }
        running.into_iter().for_each(|running| running.ends(Outcome::Handled));
        let spans = [0, 1].map(|send| ProcessSpan { place: place(send), traces: vec![trace(send)] });
        let run = Run { checker, spans: spans.to_vec() };
        assert_eq!(run.judged_with(&Report::default(), Order::Key).0, broken);
        assert_eq!(run.judged().0, "c");
    }
}

/// (c): a record that comes once more is a duplicate, and of another generation.
#[test]
fn a_record_that_comes_again_begins_a_generation() {
    let mut run = Run::of(2);
    run.handle(0);
    run.spans.push(ProcessSpan { place: place(0), traces: vec![trace(0)] });
    run.begin_at(place(0), 0, 1, 2).ends(Outcome::Handled);
    run.handle(1);
    let (broken, verdict) = run.judged();
    assert_eq!((broken.as_str(), verdict.duplicates), ("", 1), "{verdict}");
    run.handle(1);
    assert_eq!(run.judged().0, "c");
}

/// (c): what another generation left open is delivered again.
#[test]
fn order_starts_anew_with_a_generation() {
    let mut run = Run::of(2);
    run.handle(0);
    let late = run.begin(1, 1);
    for (send, generation) in [(0, 2), (1, 2)] {
        run.spans.push(ProcessSpan { place: place(send), traces: vec![trace(send)] });
        run.begin_at(place(send), send, 1, generation).ends(Outcome::Handled);
    }
    late.ends(Outcome::Handled);
    let (broken, verdict) = run.judged();
    assert_eq!((broken.as_str(), verdict.duplicates), ("", 2), "{verdict}");
}

/// (d)
#[test]
fn a_commit_beyond_an_unfinished_record_is_too_far() {
    let mut run = Run::of(3);
    run.handle(0);
    run.commit(1);
    assert!(run.judged().1.committed_too_far.is_empty());
    let second = run.begin(1, 1);
    run.commit(2);
    second.ends(Outcome::Handled);
    run.handle(2);
    assert_eq!(run.judged().0, "d", "it was finished, but only later");
}

/// (d): a record that was not even delivered is unfinished.
#[test]
fn a_commit_beyond_an_undelivered_record_is_too_far() {
    let mut run = Run::of(2);
    run.handle(1);
    run.commit(2);
    assert_eq!(run.judged().0, "ad");
}

/// (d): compaction and transaction markers leave gaps.
#[test]
fn a_commit_passes_gaps() {
    let mut run = Run::of(1);
    run.handle(0);
    run.commit(7);
    assert_eq!(run.judged().0, "");
}

/// (e)
#[test]
fn an_attempt_without_a_span_and_a_span_without_an_attempt_are_found() {
    let mut run = Run::of(2);
    run.handle(0);
    run.handle(1);
    let missing = run.spans.pop().unwrap();
    assert_eq!(run.judged().0, "e");
    run.spans.extend([missing.clone(), missing]);
    assert_eq!(run.judged().0, "e");
}

/// (e)
#[test]
fn a_span_of_another_trace_is_found_unless_it_is_linked() {
    let mut run = Run::of(1);
    run.handle(0);
    run.spans[0].traces = vec![trace(7)];
    assert_eq!(run.judged().0, "e");
    run.spans[0].traces = vec![trace(7), trace(0)];
    assert_eq!(run.judged().0, "");
}

/// (f)
#[test]
fn spans_that_went_nowhere_are_found() {
    let run = Run::of(0);
    let mut report = Report::default();
    report.ended = 3;
    report.collected = 2;
    assert_eq!(run.judged_with(&report, Order::Partition).0, "f");
    report.dropped.queue_full = 1;
    assert_eq!(run.judged_with(&report, Order::Partition).0, "");
    report.unfinished = 1;
    assert_eq!(run.judged_with(&report, Order::Partition).0, "f");
}

/// (f)
#[test]
fn spans_that_an_exporter_lost_are_found() {
    let run = Run::of(0);
    let mut report = Report::default();
    (report.ended, report.collected) = (3, 3);
    let mut exporter = ExporterReport::default();
    (exporter.exported, exporter.undelivered) = (2, 1);
    report.exporters = vec![exporter.clone()];
    assert_eq!(run.judged_with(&report, Order::Partition).0, "f");
    (exporter.undelivered, exporter.dropped.rejected) = (0, 1);
    report.exporters = vec![exporter];
    assert_eq!(run.judged_with(&report, Order::Partition).0, "");
}
