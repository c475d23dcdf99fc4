//! The rows that the embedded broker cannot show, each on an Apache Kafka of its own: `tests/peers/kafka -- cargo test
//! -p throughline-tests --test kafka_faults real`.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::{FutureRecord, Producer as _};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Message as _, Offset, TopicPartitionList};
use throughline::kafka::{Consumer, Record, RunError, TracedProducer, tracked};
use throughline_tests::kafka::checker::Ack;
use throughline_tests::kafka::verdict::Order;
use throughline_tests::peers::{self, OwnKafka};

use super::load::{How, Load, Protocol, on_runtime, sent};
use super::support::{TOPIC, WAIT, config};

const PAUSE: Duration = Duration::from_millis(2);

/// Runs a row in a process of its own, with a broker of its own; without brokers it says so.
fn with_broker<F: Future<Output = ()>>(name: &str, test: impl FnOnce(OwnKafka) -> F) {
    if peers::kafka().is_none() {
        peers::skip("Apache Kafka", "kafka");
        return;
    }
    super::alone::run(&format!("{}::{name}", module_path!()), Duration::from_secs(400), || {
        if let Some(own) = OwnKafka::start() {
            on_runtime(test(own));
        }
    });
}

/// The script's commands take seconds.
async fn told(mut own: OwnKafka, what: impl FnOnce(&mut OwnKafka) + Send + 'static) -> OwnKafka {
    let told = tokio::task::spawn_blocking(move || {
        what(&mut own);
        own
    });
    told.await.unwrap()
}

/// B2: the broker is killed, stopped and held under load, and comes back each time.
#[test]
fn real_b2_killed_stopped_and_held_under_load() {
    with_broker("real_b2_killed_stopped_and_held_under_load", |mut own| async move {
        let mut load = Load::at(own.address(), Protocol::CooperativeSticky, 6).await;
        load.produce(8, PAUSE);
        let members = vec![load.member(), load.member()];
        load.flows(500).await;
        own = told(own, |own| own.kill()).await;
        own = told(own, |own| own.restart()).await;
        load.flows(500).await;
        own = told(own, |own| own.stop()).await;
        own = told(own, |own| own.restart()).await;
        load.flows(500).await;
        own = told(own, |own| own.pause()).await;
        // As long as the fault lasts: beyond the sessions of the members.
        tokio::time::sleep(Duration::from_secs(8)).await;
        own = told(own, |own| own.resume()).await;
        load.flows(500).await;
        let judged = load.judged(Order::Partition, members).await;
        assert!(judged.verdict.acknowledged >= 2_000);
        told(own, |own| own.stop()).await;
    });
}

/// B7: the log was deleted up to beyond what the group had committed.
#[test]
fn real_b7_a_deleted_log_is_passed_and_counted() {
    with_broker("real_b7_a_deleted_log_is_passed_and_counted", |own| async move {
        let mut load = Load::at(own.address(), Protocol::CooperativeSticky, 1).await;
        load.produce(4, PAUSE);
        let member = load.member();
        load.flows(100).await;
        load.rests().await;
        member.close(WAIT).await.unwrap();
        load.fill(1 << 20).await;
        let admin: AdminClient<DefaultClientContext> = config(own.address()).create().unwrap();
        let mut up_to = TopicPartitionList::new();
        let committed = load.committed().await[0];
        assert!(committed >= 100);
        up_to.add_partition_offset(TOPIC, 0, Offset::Offset(committed + 5)).unwrap();
        admin.delete_records(&up_to, &AdminOptions::new().operation_timeout(Some(WAIT))).await.unwrap();
        let member = load.member();
        load.until("the runner goes on behind the gap", || {
            load.checker.records().deliveries.iter().any(|delivery| delivery.member == 1)
        })
        .await;
        let first =
            load.checker.records().deliveries.into_iter().find(|delivery| delivery.member == 1).unwrap();
        assert_eq!(first.place.offset, committed + 5, "`earliest` was asked for");
        let report = member.close(WAIT).await.unwrap();
        assert_eq!(report.offset_resets, 1, "{report:?}");
    });
}

/// G3: a static member whose place another one took ends with an error, and the other one loses nothing.
#[test]
fn real_g3_a_fenced_static_member_ends() {
    with_broker("real_g3_a_fenced_static_member_ends", |own| async move {
        let mut load = Load::at(own.address(), Protocol::CooperativeSticky, 6).await;
        load.produce(8, PAUSE);
        let same_place = |load: &Load| {
            let number = load.next_member();
            let mut config = load.config(number);
            config.set("group.instance.id", "the one");
            let tick = Duration::from_millis(100);
            load.member_of(
                config,
                number,
                false,
                |_, _| How::Handles,
                |consumer| consumer.commit(tracked(tick, 100)),
            )
        };
        let first = same_place(&load);
        load.flows(300).await;
        let second = same_place(&load);
        let ended = tokio::time::timeout(WAIT, first.wait()).await.expect("it ends by itself");
        match ended {
            Err(RunError::Fatal(error)) => {
                let fenced = [RDKafkaErrorCode::FencedInstanceId, RDKafkaErrorCode::Fatal];
                assert!(error.rdkafka_error_code().is_some_and(|code| fenced.contains(&code)), "{error:?}");
            }
            ended => panic!("{ended:?}"),
        }
        load.flows(300).await;
        let _ = load.judged(Order::Partition, vec![second]).await;
        drop(own);
    });
}

/// Offset and value of every record that a topic's only partition still has.
fn log_of(bootstrap: &str, topic: &str, last: i64) -> Vec<(i64, String)> {
    let mut config = config(bootstrap);
    config.set("group.id", "looks").set("enable.auto.commit", "false");
    let consumer: BaseConsumer = config.create().unwrap();
    let mut from_the_start = TopicPartitionList::new();
    from_the_start.add_partition_offset(topic, 0, Offset::Beginning).unwrap();
    consumer.assign(&from_the_start).unwrap();
    let mut records = Vec::new();
    while records.last().is_none_or(|(offset, _)| *offset < last) {
        let message = consumer.poll(WAIT).expect("a record in time").unwrap();
        let value = String::from_utf8(message.payload().unwrap().to_vec()).unwrap();
        records.push((message.offset(), value));
    }
    records
}

/// M4: where compaction has left gaps, what is left is delivered once and in order, and the watermark reaches the end.
#[test]
fn real_m4_gaps_of_a_compacted_log_are_passed() {
    const COMPACTED: &str = "compacted";
    const ROUNDS: u32 = 30;
    const KEYS: u32 = 10;
    with_broker("real_m4_gaps_of_a_compacted_log_are_passed", |own| async move {
        let admin: AdminClient<DefaultClientContext> = config(own.address()).create().unwrap();
        let topic = [
            ("cleanup.policy", "compact"),
            ("min.cleanable.dirty.ratio", "0.01"),
            ("max.compaction.lag.ms", "1"),
            ("segment.ms", "50"),
        ]
        .iter()
        .fold(NewTopic::new(COMPACTED, 1, TopicReplication::Fixed(1)), |topic, (name, value)| {
            topic.set(name, value)
        });
        for made in admin.create_topics([&topic], &AdminOptions::new()).await.unwrap() {
            made.unwrap();
        }
        let producer: TracedProducer = config(own.address()).create().unwrap();
        let (mut last, mut newest) = (0, [0; KEYS as usize]);
        // A segment can be compacted once a later record has begun the next one.
        for round in 0..ROUNDS {
            // The last records of keys that come more seldom lie far back.
            for (number, newest) in (1..).zip(&mut newest).filter(|(number, _)| round % number == 0) {
                let (key, value) = (number.to_string(), round.to_string());
                let record = FutureRecord::to(COMPACTED).key(&key).payload(&value);
                last = producer.send(record, WAIT).await.unwrap().offset;
                *newest = last;
            }
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
        let address = own.address().to_owned();
        let look = move || {
            let deadline = Instant::now() + WAIT;
            loop {
                let left = log_of(&address, COMPACTED, last);
                if left.len() < usize::try_from(last).unwrap() / 2 {
                    return left;
                }
                assert!(Instant::now() < deadline, "nothing was compacted: {} records", left.len());
            }
        };
        let left = tokio::task::spawn_blocking(look).await.unwrap();

        let handled = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&handled);
        let mut config = config(own.address());
        config.set("auto.offset.reset", "earliest");
        let runner = Consumer::from_config(config)
            .group("compacted")
            .topics([COMPACTED])
            .start(move |record: Record| {
                let seen = Arc::clone(&seen);
                async move {
                    let value = String::from_utf8(record.value().clone().unwrap()).unwrap();
                    seen.lock().unwrap().push((record.offset().unwrap(), value));
                }
            })
            .unwrap();
        let deadline = Instant::now() + WAIT;
        while handled.lock().unwrap().last().is_none_or(|(offset, _)| *offset < last) {
            assert!(Instant::now() < deadline, "{:?}", handled.lock().unwrap());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let report = runner.close(WAIT).await.unwrap();
        let handled = handled.lock().unwrap().clone();
        assert_eq!((report.handled, report.unfinished), (handled.len() as u64, 0), "{report:?}");
        assert!(handled.windows(2).all(|pair| pair[0].0 < pair[1].0), "in order, each once: {handled:?}");
        assert!(handled.windows(2).any(|pair| pair[1].0 > pair[0].0 + 1), "over gaps: {handled:?}");
        // Compaction may have gone on meanwhile; the last value of a key stays.
        assert!(handled.iter().all(|record| left.contains(record)), "{handled:?}");
        for offset in newest {
            assert!(handled.iter().any(|(handled, _)| *handled == offset), "offset {offset}: {handled:?}");
        }
        let asked = own.address().to_owned();
        let committed = tokio::task::spawn_blocking(move || {
            let mut config = super::support::config(&asked);
            config.set("group.id", "compacted");
            let consumer: BaseConsumer = config.create().unwrap();
            let mut list = TopicPartitionList::new();
            list.add_partition(COMPACTED, 0);
            consumer.committed_offsets(list, WAIT).unwrap().elements()[0].offset()
        });
        assert_eq!(committed.await.unwrap(), Offset::Offset(last + 1));
        drop(own);
    });
}

/// M4: aborted records are not delivered, markers are passed, and the watermark reaches the end.
#[test]
fn real_m4_aborted_transactions_and_markers_are_passed() {
    with_broker("real_m4_aborted_transactions_and_markers_are_passed", |own| async move {
        let load = Load::at(own.address(), Protocol::CooperativeSticky, 3).await;
        let member = load.member();
        let producer: TracedProducer = config(own.address())
            .set("transactional.id", "m4")
            .set("message.timeout.ms", "30000")
            .create()
            .unwrap();
        let blocking = |work: fn(&TracedProducer)| {
            let producer = producer.clone();
            async move { tokio::task::spawn_blocking(move || work(&producer)).await.unwrap() }
        };
        blocking(|producer| producer.init_transactions(WAIT).unwrap()).await;
        for transaction in 0..20 {
            blocking(|producer| producer.begin_transaction().unwrap()).await;
            let sends = (0..10).map(|_| sent(&producer, &load.checker));
            let sends = futures_util::future::join_all(sends).await;
            let aborts = transaction % 3 == 1;
            if aborts {
                blocking(|producer| producer.abort_transaction(WAIT).unwrap()).await;
            } else {
                blocking(|producer| producer.commit_transaction(WAIT).unwrap()).await;
            }
            for (number, ack) in sends {
                // Delivered in spite of the abort, it would be from nowhere.
                load.checker.answered(number, if aborts { Ack::Refused } else { ack });
            }
        }
        load.flows(0).await;
        let judged = load.judged(Order::Partition, vec![member]).await;
        assert_eq!((judged.verdict.acknowledged, judged.verdict.deliveries), (130, 130));
        drop(own);
    });
}
