//! Row M5: handlers that err, panic, hang; payloads that nobody can read.

use std::time::Duration;

use rdkafka::Message as _;
use rdkafka::message::OwnedMessage;
use rdkafka::producer::FutureRecord;
use throughline::kafka::{
    Attempt, Backoff, ConsumedMessage, Consumer, DecodeError, EncodeError, Headers, KafkaMessage, OnFailure,
    Record, State, by_key, tracked,
};
use throughline_tests::kafka::checker::{Begins, Checker, Outcome, Place};
use throughline_tests::kafka::verdict::Order;

use super::load::{DEAD, GROUP, How, Load, Protocol, alone};
use super::support::{TOPIC, WAIT, consumer_of, messages, producer};

const PAUSE: Duration = Duration::from_millis(2);

fn backoff() -> Backoff {
    Backoff::default().attempts(3).initial(Duration::from_millis(5)).max(Duration::from_millis(20))
}

/// Every kind of handler at once, by the number of the send.
fn mixed(number: usize, attempt: u32) -> How {
    match (number % 20, attempt) {
        // Errs once.
        (3, 1) => How::Fails,
        // Errs always.
        (5, _) => How::Fails,
        // Panics once, and always.
        (7, 1) | (9, _) => How::Panics,
        // Hangs once, and always.
        (11, 1) => How::Hangs,
        (113, _) => How::Hangs,
        (13, _) => How::TakesTime(Duration::from_millis(3)),
        _ => How::Handles,
    }
}

alone! {
    /// M5: what fails for good becomes a dead letter, in order; the rest is handled.
    async fn m5_errors_panics_and_timeouts_under_load() within 150 {
        let mut load = Load::start(Protocol::CooperativeSticky, 6);
        load.produce(8, PAUSE);
        let settings = |consumer: Consumer| {
            consumer
                .retry(backoff())
                .timeout(Duration::from_millis(300))
                .dead_letter(DEAD)
                .commit(tracked(Duration::from_millis(100), 100))
        };
        let members = vec![load.member_with(mixed, settings), load.member_with(mixed, settings)];
        load.until("sends are acknowledged", || load.checker.progress().acknowledged > 1_000).await;
        load.rests_with_dead_letters().await;
        let judged = load.judged(Order::Partition, members).await;
        assert_eq!(judged.verdict.duplicates, 0, "all went in peace");
        let expected = judged.records.sends.len() / 20;
        assert!(judged.records.dead_letters.len() >= 2 * (expected - 1), "{}", judged.records.dead_letters.len());
        let sum = |count: fn(&throughline::kafka::Report) -> u64| judged.reports.iter().map(count).sum::<u64>();
        assert_eq!(sum(|report| report.dead_lettered), judged.records.dead_letters.len() as u64);
        assert!(sum(|report| report.panics) > 0 && sum(|report| report.retries) > 0);
    }

    /// B4, K-10: a dead letter that its reason would make too large goes without the reason: nothing is skipped, and the
    /// partition goes on.
    async fn m5_a_dead_letter_that_its_reason_makes_too_large() within 100 {
        let load = Load::start(Protocol::CooperativeSticky, 1);
        let number = load.next_member();
        let mut config = load.config(number);
        // Of the producer of dead letters, which takes the rest from the consumer.
        config.set("message.max.bytes", "4000");
        let once = |consumer: Consumer| consumer.retry(Backoff::default().attempts(1)).dead_letter(DEAD);
        let member = load.member_of(config, number, false, |_, _| How::Fails, once);
        let producer = producer(load.proxy().bootstrap());
        for payload in ["small".to_owned(), "x".repeat(3_800)] {
            let record = FutureRecord::<str, str>::to(TOPIC).partition(0).payload(&payload);
            producer.send(record, WAIT).await.unwrap();
        }
        let letters = messages(&consumer_of(load.proxy().bootstrap(), DEAD, 0), 2).await;
        let names = |letter: &OwnedMessage| {
            let headers = Headers::copy_of(letter);
            ["traceparent", "__dlq.errors.topic", "throughline.error.type"].map(|name| headers.get_all(name).count())
        };
        assert_eq!(letters.iter().map(names).collect::<Vec<_>>(), [[1, 1, 1], [1, 0, 0]]);
        assert_eq!(letters[1].payload().map(<[u8]>::len), Some(3_800));
        let report = member.close(WAIT).await.unwrap();
        assert_eq!((report.dead_lettered, report.unfinished), (2, 0), "{report:?}");
    }

    /// M5: the same by key: a key that waits holds up no other, and its own order holds.
    async fn m5_errors_and_panics_by_key() within 150 {
        let mut load = Load::start(Protocol::CooperativeSticky, 6);
        load.produce(8, PAUSE);
        let settings = |consumer: Consumer| consumer.retry(backoff()).dead_letter(DEAD).concurrency(by_key(16));
        let how = |number: usize, attempt| if number % 20 == 11 { How::Handles } else { mixed(number % 20, attempt) };
        let member = load.member_with(how, settings);
        load.until("sends are acknowledged", || load.checker.progress().acknowledged > 1_000).await;
        load.rests_with_dead_letters().await;
        let _ = load.judged(Order::Key, vec![member]).await;
    }

    /// M5: skipped, counted, and a log line stays a line (M2).
    async fn m5_skipped_records_are_counted() within 100 {
        let mut load = Load::start(Protocol::CooperativeSticky, 6);
        load.produce(8, PAUSE);
        let number = load.next_member();
        let settings = |consumer: Consumer| consumer.retry(backoff()).on_exhausted(OnFailure::Skip);
        let how = |number: usize, _| if number % 50 == 5 { How::Fails } else { How::Handles };
        let member = load.member_of(load.config(number), number, true, how, settings);
        load.flows(1_000).await;
        let judged = load.judged(Order::Partition, vec![member]).await;
        let skipped = judged.records.sends.len().div_ceil(50) as u64;
        assert!((skipped - 1..=skipped).contains(&judged.reports[0].skipped), "{:?}", judged.reports);
    }

    /// M5: `halt` stops one partition, and health says where; the others flow.
    async fn m5_a_halted_partition_holds_up_no_other() within 100 {
        let mut load = Load::start(Protocol::CooperativeSticky, 6);
        load.produce(200, PAUSE);
        let how = |number: usize, _| if number == 100 { How::Fails } else { How::Handles };
        let member = load.member_with(how, |consumer| consumer.retry(Backoff::never()));
        load.until("a partition is halted", || !member.health().halted.is_empty()).await;
        load.flows(300).await;
        let health = member.health();
        assert_eq!((health.halted.len(), health.ready, health.live), (1, false, true), "{health:?}");
        let (halted, reason) = (health.halted[0].partition, health.halted[0].reason.clone());
        let report = member.close(WAIT).await.unwrap();
        assert!(report.unfinished > 0, "{report:?}");
        let stuck = load.checker.records().deliveries.into_iter().find(|delivery| delivery.send == Some(100)).unwrap();
        assert_eq!(stuck.place.partition, halted, "{reason}");
        assert!(load.committed().await[usize::try_from(halted).unwrap()] <= stuck.place.offset);
        // Whoever comes next begins with that record.
        let next = load.member();
        let judged = load.judged(Order::Partition, vec![next]).await;
        let again = judged.records.deliveries.iter().find(|delivery| {
            delivery.member == 1 && delivery.place.partition == halted
        });
        assert!(again.unwrap().place.offset <= stuck.place.offset);
    }

    /// M5, K-8: what cannot be decoded never reaches the handler, and becomes a dead letter.
    async fn m5_poison_does_not_reach_the_handler() within 100 {
        let mut load = Load::start(Protocol::CooperativeSticky, 6);
        load.produce(8, PAUSE);
        let number = load.next_member();
        let consumer = Consumer::from_config(load.config(number)).group(GROUP).topics([TOPIC]).dead_letter(DEAD);
        let member = consumer.state(load.checker.clone()).start(handle_healthy).unwrap();
        load.until("sends are acknowledged", || load.checker.progress().acknowledged > 600).await;
        load.rests_with_dead_letters().await;
        let judged = load.judged(Order::Partition, vec![member]).await;
        let poisoned = judged.records.sends.len().div_ceil(10);
        assert!((poisoned - 1..=poisoned).contains(&judged.records.dead_letters.len()));
        assert_eq!(judged.reports[0].decode_errors, judged.records.dead_letters.len() as u64);
        assert_eq!(judged.reports[0].panics, 0, "that of the codec is a decode error");
        for delivery in &judged.records.deliveries {
            assert_ne!(delivery.send.map(|send| send % 10), Some(4), "{delivery:?}");
        }
    }
}

/// A message whose every tenth number cannot be read; half of those panic.
#[derive(Debug)]
struct Healthy(usize);

impl KafkaMessage for Healthy {
    const TOPIC: &'static str = TOPIC;

    fn to_record(&self) -> Result<Record, EncodeError> {
        Ok(Record::to(TOPIC).with_value(self.0.to_string()))
    }

    fn from_message<M: ConsumedMessage + ?Sized>(message: &M) -> Result<Self, DecodeError> {
        let text = str::from_utf8(message.value().unwrap_or_default()).map_err(poison)?;
        let number: usize = text.parse().map_err(poison)?;
        match number % 20 {
            4 => Err(poison("poison")),
            14 => panic!("the codec panics"),
            _ => Ok(Healthy(number)),
        }
    }
}

fn poison(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> DecodeError {
    DecodeError::Value { source: source.into() }
}

async fn handle_healthy(record: Record<Healthy>, State(checker): State<Checker>, attempt: Attempt) {
    let value = record.value().0.to_string();
    let running = checker.begins(Begins {
        place: Place::new(record.topic(), record.partition().unwrap(), record.offset().unwrap()),
        key: record.key(),
        value: Some(value.as_bytes()),
        member: 0,
        generation: attempt.generation(),
        attempt: attempt.number(),
    });
    running.ends(Outcome::Handled);
}
