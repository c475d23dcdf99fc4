//! Sending: `rdkafka`'s producer and ours.

use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};
use rustix::time::ClockId;
use throughline::kafka::TracedProducer;

use crate::broker::{MESSAGES, PRODUCED, VALUE};
use crate::candidates::{Row, Tracing};
use crate::worker::{Taken, cpu_ns};

/// Deliveries that are waited for together: a program has many sends under way.
const AT_ONCE: u64 = 1_000;

/// The same loop for both producers, which share no trait.
macro_rules! send_all {
    ($producer:ident) => {
        for _ in 0..MESSAGES / AT_ONCE {
            let mut deliveries = Vec::new();
            for number in 0..AT_ONCE {
                let key = number.to_string();
                let record = FutureRecord::to(PRODUCED).key(&key).payload(&VALUE[..]);
                deliveries.push($producer.send_result(record).expect("room in the queue"));
            }
            for delivery in deliveries {
                delivery.await.expect("not cancelled").expect("delivered");
            }
        }
    };
}

pub(crate) enum Sender {
    Bare(FutureProducer),
    Traced(TracedProducer),
}

impl Sender {
    pub(crate) fn new(row: &Row, servers: &str) -> Self {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", servers).set("linger.ms", "5");
        match row.tracing {
            Tracing::Bare => Self::Bare(config.create().expect("a producer of the embedded cluster")),
            _ => Self::Traced(config.create().expect("a producer of the embedded cluster")),
        }
    }

    /// Sends a round's messages, until all are delivered.
    pub(crate) async fn round(&self) -> Taken {
        let (start, thread) = (Instant::now(), cpu_ns(ClockId::ThreadCPUTime));
        match self {
            Self::Bare(producer) => {
                send_all!(producer);
                producer.flush(Duration::from_secs(10)).expect("delivered");
            }
            Self::Traced(producer) => {
                send_all!(producer);
                assert_eq!(producer.flush_within(Duration::from_secs(10)).await, 0);
            }
        }
        Taken { wall: start.elapsed(), thread_ns: cpu_ns(ClockId::ThreadCPUTime) - thread }
    }
}
