//! Lag and membership, from librdkafka's statistics: parsed on the user's runtime, because it takes up to half a millisecond.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde::Deserialize;

use super::engine::Engine;
use super::health::State;

/// What is read of the statistics; the rest is skipped. The names are librdkafka's.
#[derive(Debug, Deserialize)]
struct Statistics {
    #[serde(default)]
    brokers: HashMap<String, Broker>,
    #[serde(default)]
    topics: HashMap<String, Topic>,
    cgrp: Option<Group>,
}

impl Statistics {
    /// Whether the client is connected to a broker: to one that it was told of, or as to the group's coordinator.
    fn is_connected(&self) -> bool {
        self.brokers.values().any(|broker| broker.state == "UP" && broker.source != "internal")
    }
}

/// A broker, or what librdkafka has in the place of one: the coordinator's connection, its own work.
#[derive(Debug, Deserialize)]
struct Broker {
    #[serde(default)]
    source: String,
    #[serde(default)]
    state: String,
}

/// The group as librdkafka sees it.
#[derive(Debug, Deserialize)]
struct Group {
    #[serde(default)]
    state: String,
    #[serde(default)]
    join_state: String,
}

impl Group {
    /// As far as can be told: before its first partition a KIP-848 member stays in the state in which it began.
    fn is_joined(&self, is_kip_848: bool) -> bool {
        self.state == "up" && (self.join_state == "steady" || is_kip_848 && self.join_state == "init")
    }
}

#[derive(Debug, Deserialize)]
struct Topic {
    #[serde(default)]
    partitions: HashMap<String, Partition>,
}

/// Values below zero mean that nothing is known (kafka.md R-15).
#[derive(Debug, Deserialize)]
struct Partition {
    #[serde(default = "unknown")]
    partition: i32,
    /// End of what may be read: of the last transaction with `read_committed`.
    #[serde(default = "unknown_offset")]
    ls_offset: i64,
    #[serde(default = "unknown_offset")]
    hi_offset: i64,
    #[serde(default = "unknown_offset")]
    committed_offset: i64,
    #[serde(default = "unknown_offset")]
    lo_offset: i64,
}

fn unknown() -> i32 {
    -1
}

fn unknown_offset() -> i64 {
    -1
}

impl Partition {
    fn end(&self) -> i64 {
        if self.ls_offset >= 0 { self.ls_offset } else { self.hi_offset }
    }

    /// Where the group is as long as nothing is finished here.
    fn start(&self) -> i64 {
        if self.committed_offset >= 0 { self.committed_offset } else { self.lo_offset }
    }
}

/// Takes statistics from the poll thread.
pub(super) fn received(engine: &Arc<Engine>, statistics: &[u8]) {
    let (engine, statistics) = (Arc::clone(engine), statistics.to_owned());
    engine.runtime.clone().spawn(async move { note(&engine, &statistics) });
}

fn note(engine: &Engine, statistics: &[u8]) {
    let statistics: Statistics = match serde_json::from_slice(statistics) {
        Ok(statistics) => statistics,
        Err(error) => {
            crate::diagnostics::info(format_args!("librdkafka's statistics were not understood: {error}"));
            return;
        }
    };
    engine.connected(statistics.is_connected());
    // A member of a KIP-848 group that gets no partition hears of no assignment either.
    let is_joined = statistics.cgrp.as_ref().is_some_and(|group| group.is_joined(engine.is_kip_848));
    if is_joined && engine.state() == State::Joining {
        engine.set_state(State::Running);
    }
    for (topic, partitions) in &statistics.topics {
        for partition in partitions.partitions.values().filter(|partition| partition.partition >= 0) {
            if let Some(generation) = engine.owned.find(topic, partition.partition) {
                generation.end_offset.store(partition.end(), Ordering::Relaxed);
                generation.start_offset.store(partition.start(), Ordering::Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_values_are_below_zero() {
        let text = br#"{"name":"x","cgrp":{"state":"up","join_state":"steady","assignment_size":0},"topics":{"orders":{"topic":"orders","partitions":{
            "0":{"partition":0,"ls_offset":90,"hi_offset":100,"committed_offset":40,"lo_offset":0,"fetchq_cnt":7},
            "1":{"partition":1,"ls_offset":-1001,"hi_offset":100,"committed_offset":-1001,"lo_offset":3},
            "-1":{"partition":-1,"ls_offset":-1001,"hi_offset":-1001}}}}}"#;
        let parsed: Statistics = serde_json::from_slice(text).unwrap();
        let mut group = parsed.cgrp.unwrap();
        assert!(group.is_joined(false));
        group.join_state = "init".to_owned();
        assert!(!group.is_joined(false) && group.is_joined(true));
        group.state = "query-coord".to_owned();
        assert!(!group.is_joined(true));
        let partitions = &parsed.topics["orders"].partitions;
        assert_eq!((partitions["0"].end(), partitions["0"].start()), (90, 40));
        assert_eq!((partitions["1"].end(), partitions["1"].start()), (100, 3));
        assert!(partitions["-1"].end() < 0 && partitions["-1"].start() < 0);
    }

    #[test]
    fn connected_is_to_any_broker_that_is_up() {
        let of = |brokers: &str| {
            let text = format!(
                r#"{{"name":"x","brokers":{{":0/internal":{{"source":"internal","state":"UP"}}{brokers}}}}}"#
            );
            serde_json::from_str::<Statistics>(&text).unwrap().is_connected()
        };
        assert!(!of(""));
        for source in ["configured", "learned", "logical"] {
            assert!(of(&format!(r#","a:9092":{{"source":"{source}","state":"UP"}}"#)), "{source}");
            // One that librdkafka has forgotten and still lists has no state of its own.
            for state in ["INIT", "TRY_CONNECT", "DOWN"] {
                assert!(!of(&format!(r#","a:9092":{{"source":"{source}","state":"{state}"}}"#)), "{state}");
            }
        }
    }
}
