//! The embedded cluster, in a process of its own.

use std::io::{BufRead, Write};
use std::process::ExitCode;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::types::RDKafkaErrorCode;
use throughline_tests::kafka::cluster::Cluster;

/// Every record's sender was sampled; of one in ten; and what `produce` writes to.
pub(crate) const SAMPLED: &str = "sampled";
pub(crate) const TENTH: &str = "tenth";
pub(crate) const PRODUCED: &str = "produced";

/// The embedded cluster keeps 5 MiB of a partition.
pub(crate) const PARTITIONS: i32 = 12;
pub(crate) const PER_PARTITION: u64 = 15_000;
#[allow(clippy::cast_sign_loss)]
pub(crate) const MESSAGES: u64 = PARTITIONS as u64 * PER_PARTITION;

/// What the rows with work parse.
pub(crate) const VALUE: &[u8; 100] =
    br#"{"order":"0b7c1d4e-5f60","customer":48213,"amount":129.95,"currency":"EUR","items":[3,17,40],"a":12}"#;

/// Serves until its input ends. Says where once the topics are full.
pub(crate) fn serve() -> ExitCode {
    let cluster = Cluster::start(1);
    for topic in [SAMPLED, TENTH, PRODUCED] {
        cluster.mock().create_topic(topic, PARTITIONS, 1).expect("a new topic");
    }
    let servers = cluster.bootstrap();
    for topic in [SAMPLED, TENTH] {
        fill(&servers, topic);
    }
    println!("{servers}");
    let _ = std::io::stdout().flush();
    for line in std::io::stdin().lock().lines() {
        if line.is_err() {
            break;
        }
    }
    ExitCode::SUCCESS
}

fn fill(servers: &str, topic: &str) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", servers)
        .set("linger.ms", "20")
        .create()
        .expect("a producer of the embedded cluster");
    for number in 0..MESSAGES {
        let flags = if topic == SAMPLED || number % 10 == 0 { "01" } else { "00" };
        let traceparent = format!("00-{:032x}-{:016x}-{flags}", u128::from(number) + 1, number + 1);
        let key = format!("order-{number}");
        let headers =
            OwnedHeaders::new().insert(Header { key: "traceparent", value: Some(traceparent.as_str()) });
        let partition = i32::try_from(number % u64::from(PARTITIONS.unsigned_abs())).unwrap_or(0);
        let mut record =
            BaseRecord::to(topic).partition(partition).key(&key).payload(&VALUE[..]).headers(headers);
        while let Err((error, returned)) = producer.send(record) {
            assert_eq!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull));
            producer.poll(Duration::from_millis(10));
            record = returned;
        }
    }
    producer.flush(Duration::from_secs(60)).expect("the embedded cluster takes all");
}
