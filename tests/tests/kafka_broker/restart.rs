//! A broker that goes away and comes back while records are on their way (kafka.md F-B2).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use opentelemetry::trace::{FutureExt as _, Status, TraceId};
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::producer::FutureRecord;
use rdkafka::{Message as _, Offset, TopicPartitionList};
use throughline::kafka::{ProcessOptions, TracedProducer, process};
use throughline_tests::peers::{OwnKafka, OwnServer};

use super::support::{Broker, offset, root, spans};

const PARTITIONS: i32 = 3;
/// Records between one outage and the next.
const PART: usize = 400;
const PARTS: usize = 4;

type Place = (i32, i64);

/// Sends records until all parts are sent; gives where each went, and its trace.
async fn produce(
    producer: TracedProducer,
    topic: String,
    acked: Arc<AtomicUsize>,
) -> HashMap<Place, (usize, TraceId)> {
    let mut sends = FuturesUnordered::new();
    let mut places = HashMap::new();
    let mut next = 0;
    while places.len() < PART * PARTS {
        while next < PART * PARTS && sends.len() < 50 {
            let (producer, topic, (cx, trace), number) = (&producer, &topic, root(), next);
            let send = async move {
                let payload = number.to_string();
                let record = FutureRecord::<str, str>::to(topic).payload(&payload);
                let record = record.partition(i32::try_from(number).unwrap() % PARTITIONS);
                let delivery = producer.send(record, Duration::from_secs(60)).await;
                (delivery.unwrap_or_else(|(error, _)| panic!("{error}")), number, trace)
            };
            sends.push(send.with_context(cx));
            next += 1;
        }
        let (delivery, number, trace) = sends.next().await.unwrap();
        let before = places.insert((delivery.partition, delivery.offset), (number, trace));
        assert_eq!(before, None, "two records in one place");
        acked.fetch_add(1, Ordering::SeqCst);
    }
    places
}

/// Reads until `count` records came; gives what each place held.
async fn consume(consumer: StreamConsumer, count: usize) -> BTreeMap<Place, usize> {
    let mut seen = BTreeMap::new();
    while seen.len() < count {
        // The consumer tells of each broken connection, and goes on by itself.
        let Ok(message) = consumer.recv().await else { continue };
        let number = std::str::from_utf8(message.payload().unwrap()).unwrap().parse().unwrap();
        process(&message, ProcessOptions::new(), async { Ok::<_, String>(()) }).await.unwrap();
        let before = seen.insert((message.partition(), message.offset()), number);
        assert_eq!(before, None, "delivered twice to a consumer that never rewound");
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_stopped_killed_and_held_in_mid_stream_loses_nothing() {
    let Some(mut own) = tokio::task::spawn_blocking(OwnKafka::start).await.unwrap() else { return };
    let broker = Broker::at(own.address());
    let topic = broker.topic("restart", PARTITIONS).await;
    let mut config = broker.config();
    config.set("enable.idempotence", "true").set("reconnect.backoff.max.ms", "500");
    let producer: TracedProducer = config.create().unwrap();
    let mut config = broker.consumer("restart");
    let consumer: StreamConsumer = config.set("reconnect.backoff.max.ms", "500").create().unwrap();
    // By hand: a group may take the partitions away meanwhile, and then hands records out a second time.
    let mut partitions = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        partitions.add_partition_offset(&topic, partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&partitions).unwrap();

    let acked = Arc::new(AtomicUsize::new(0));
    let producing = tokio::spawn(produce(producer.clone(), topic.clone(), Arc::clone(&acked)));
    let consuming = tokio::spawn(consume(consumer, PART * PARTS));
    let outages = tokio::task::spawn_blocking(move || {
        for (part, end) in [OwnServer::stop, OwnServer::kill, OwnServer::pause].into_iter().enumerate() {
            while acked.load(Ordering::SeqCst) < PART * part + PART / 2 {
                std::thread::sleep(Duration::from_millis(2));
            }
            end(&mut own);
            if part == 2 {
                // Connections are open and silent for longer than a request of the consumer waits.
                std::thread::sleep(Duration::from_secs(2));
                own.resume();
            } else {
                own.restart();
            }
        }
        own
    });
    let (places, seen) = tokio::time::timeout(Duration::from_secs(300), async {
        let places = producing.await.unwrap();
        (places, consuming.await.unwrap())
    })
    .await
    .expect("within five minutes");
    drop(outages.await.unwrap());

    assert_eq!(places.len(), seen.len());
    for (place, (number, trace)) in &places {
        assert_eq!(seen.get(place), Some(number), "{place:?}");
        // Each send ended once, with the place where the record is; retries inside librdkafka are none of its business.
        let spans = spans(*trace);
        let [send, process] = ["send", "process"].map(|word| {
            let mut found = spans.iter().filter(|span| span.name.starts_with(word));
            let span = found.next().unwrap_or_else(|| panic!("no {word} of {place:?}"));
            assert!(found.next().is_none(), "{word} of {place:?} twice");
            span
        });
        assert_eq!((offset(send), &send.status), (Some(place.1), &Status::Unset));
        assert_eq!(process.parent_span_id, send.span_context.span_id());
    }
    // Idempotence keeps the order of sending within a partition.
    for partition in 0..PARTITIONS {
        let numbers: Vec<_> =
            seen.iter().filter(|(place, _)| place.0 == partition).map(|(_, n)| *n).collect();
        assert!(numbers.is_sorted(), "{numbers:?}");
    }
}
