//! What the engine of a runner is told: concurrency, bounds, commits, batches; and the client's configuration.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

use super::error::RunError;

/// How many records are handled at once, and in which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Concurrency {
    /// So many partitions at once, of each one record (or batch) after the other.
    PerPartition(usize),
    /// So many lanes; a record's lane is the hash of its partition and key, records without a key go by their partition.
    ByKey(usize),
    /// One record (or batch) of the whole runner after the other.
    Sequential,
}

impl Default for Concurrency {
    /// Eight partitions at once.
    fn default() -> Self {
        Concurrency::PerPartition(8)
    }
}

/// [`Concurrency::PerPartition`]: `partitions` at once, one record each, in the order of their offsets.
pub const fn per_partition(partitions: usize) -> Concurrency {
    Concurrency::PerPartition(partitions)
}

/// [`Concurrency::ByKey`]: `lanes` records at once, in order for each key.
pub const fn by_key(lanes: usize) -> Concurrency {
    Concurrency::ByKey(lanes)
}

/// [`Concurrency::Sequential`]: one record at a time.
pub const fn sequential() -> Concurrency {
    Concurrency::Sequential
}

/// When finished records are committed. Only finished ones ever are, whichever it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Commit {
    /// At the latest `interval` after a record was finished, or when `count` records of a partition were.
    Tracked {
        /// Longest time from the end of a handler to the commit.
        interval: Duration,
        /// So many finished records of one partition do not wait for the interval.
        count: u32,
    },
    /// After each record (or batch), before the next of its lane starts.
    PerRecord,
    /// A record is finished when its handler says so through its `Ack`; committed within a second.
    Manual,
}

impl Default for Commit {
    /// After a second or 500 records.
    fn default() -> Self {
        tracked(Duration::from_secs(1), 500)
    }
}

/// [`Commit::Tracked`]: after `interval`, or `count` finished records of a partition.
pub const fn tracked(interval: Duration, count: u32) -> Commit {
    Commit::Tracked { interval, count }
}

/// [`Commit::PerRecord`]: after each record.
pub const fn per_record() -> Commit {
    Commit::PerRecord
}

/// [`Commit::Manual`]: when the handler's `Ack` says so.
pub const fn manual() -> Commit {
    Commit::Manual
}

/// The settings of the engine; the builder fills them in.
#[derive(Clone, Debug)]
pub(super) struct EngineSettings {
    pub(super) concurrency: Concurrency,
    /// Records started or waiting in lanes, over all partitions.
    pub(super) max_in_flight: usize,
    /// What librdkafka fetches ahead, per partition.
    pub(super) prefetch_bytes: usize,
    pub(super) commit: Commit,
    pub(super) batch_max: usize,
    pub(super) batch_wait: Duration,
    /// How long handlers are awaited on revoke and close.
    pub(super) drain: Duration,
    pub(super) settle_spans: bool,
}

impl Default for EngineSettings {
    fn default() -> Self {
        EngineSettings {
            concurrency: Concurrency::default(),
            max_in_flight: 1000,
            prefetch_bytes: 8 * 1024 * 1024,
            commit: Commit::default(),
            batch_max: 500,
            batch_wait: Duration::from_millis(100),
            drain: Duration::from_secs(30),
            settle_spans: true,
        }
    }
}

impl EngineSettings {
    pub(super) fn check(&self) -> Result<(), RunError> {
        let zero = |setting: &'static str, value: usize| match value {
            0 => Err(RunError::setting(setting, "0", "nothing would ever be handled; expected at least 1")),
            _ => Ok(()),
        };
        match self.concurrency {
            Concurrency::PerPartition(partitions) => zero("concurrency", partitions)?,
            Concurrency::ByKey(lanes) => zero("concurrency", lanes)?,
            Concurrency::Sequential => {}
        }
        if let Commit::Tracked { count, .. } = self.commit {
            zero("commit", usize::try_from(count).unwrap_or(usize::MAX))?;
        }
        zero("max_in_flight", self.max_in_flight)?;
        zero("prefetch", self.prefetch_bytes)?;
        zero("batch", self.batch_max)
    }
}

/// The client's configuration as the runner needs it: refuses what would lose records, fills in what the user left open.
///
/// # Errors
///
/// [`RunError::Setting`] for a setting that breaks a guarantee.
pub(super) fn client_config(
    user: &ClientConfig,
    group: Option<&str>,
    settings: &EngineSettings,
) -> Result<ClientConfig, RunError> {
    let mut config = user.clone();
    // kafka.md K-2, R-9, R-10.
    for automatic in ["enable.auto.commit", "enable.auto.offset.store"] {
        if let Some(value) = user.get(automatic).filter(|value| !value.eq_ignore_ascii_case("false")) {
            let reason = "it commits records that no handler has finished; expected `false`, which is also set if it is left out";
            return Err(RunError::setting(automatic, value, reason));
        }
        config.set(automatic, "false");
    }
    match (group, user.get("group.id")) {
        (Some(group), Some(other)) if group != other => {
            let reason = format!("the runner's group is `{group}`; leave one of the two out");
            return Err(RunError::setting("group.id", other, reason));
        }
        (Some(group), _) => {
            config.set("group.id", group);
        }
        (None, Some(_)) => {}
        (None, None) => {
            return Err(RunError::setting(
                "group",
                "",
                "a runner is a member of a consumer group; name it with `.group(..)`",
            ));
        }
    }
    // Warnings tell of offsets that were reset. They reach the `log` crate only as far as that lets them.
    if (config.log_level as i32) < (RDKafkaLogLevel::Warning as i32) {
        config.set_log_level(RDKafkaLogLevel::Warning);
    }
    let mut unless_set = |name: &str, value: &str| {
        if user.get(name).is_none() {
            config.set(name, value);
        }
    };
    // With KIP-848 the broker assigns, and librdkafka refuses a strategy of the client's.
    if !is_kip_848(user) {
        unless_set("partition.assignment.strategy", "cooperative-sticky");
    }
    // kafka.md R-12: librdkafka's second would be a second without records after each full queue.
    unless_set("fetch.queue.backoff.ms", "20");
    unless_set("statistics.interval.ms", "15000");
    // librdkafka's bounds are those of K-7: the queue that is not pulled fills up to here.
    unless_set("queued.max.messages.kbytes", &settings.prefetch_bytes.div_ceil(1024).to_string());
    Ok(config)
}

/// Whether the broker assigns the partitions.
pub(super) fn is_kip_848(config: &ClientConfig) -> bool {
    config.get("group.protocol").is_some_and(|protocol| protocol.eq_ignore_ascii_case("consumer"))
}

/// `max.poll.interval.ms`, by default five minutes.
pub(super) fn max_poll_interval(config: &ClientConfig) -> Duration {
    let configured = config.get("max.poll.interval.ms").and_then(|ms| ms.parse().ok());
    Duration::from_millis(configured.unwrap_or(300_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(pairs: &[(&str, &str)]) -> Result<ClientConfig, RunError> {
        let mut user = ClientConfig::new();
        for (name, value) in pairs {
            user.set(*name, *value);
        }
        client_config(&user, Some("billing"), &EngineSettings::default())
    }

    #[test]
    fn automatic_commits_are_refused() {
        for name in ["enable.auto.commit", "enable.auto.offset.store"] {
            for value in ["true", "1", "TRUE"] {
                let error = config(&[(name, value)]).unwrap_err();
                assert!(error.to_string().starts_with(&format!("`{name}` is `{value}`: ")), "{error}");
            }
            let accepted = config(&[(name, "false")]).unwrap();
            assert_eq!(accepted.get("enable.auto.commit"), Some("false"));
            assert_eq!(accepted.get("enable.auto.offset.store"), Some("false"));
        }
    }

    #[test]
    fn group_is_named_once() {
        assert_eq!(config(&[]).unwrap().get("group.id"), Some("billing"));
        assert!(config(&[("group.id", "billing")]).is_ok());
        assert!(config(&[("group.id", "other")]).is_err());
        let settings = EngineSettings::default();
        assert!(client_config(&ClientConfig::new(), None, &settings).is_err());
    }

    #[test]
    fn what_the_user_set_stays() {
        let ours = config(&[]).unwrap();
        assert_eq!(ours.get("partition.assignment.strategy"), Some("cooperative-sticky"));
        assert_eq!(ours.get("fetch.queue.backoff.ms"), Some("20"));
        assert_eq!(ours.get("statistics.interval.ms"), Some("15000"));
        assert_eq!(ours.get("queued.max.messages.kbytes"), Some("8192"));
        let theirs =
            config(&[("partition.assignment.strategy", "range"), ("statistics.interval.ms", "0")]).unwrap();
        assert_eq!(theirs.get("partition.assignment.strategy"), Some("range"));
        assert_eq!(theirs.get("statistics.interval.ms"), Some("0"));
        assert_eq!(
            config(&[("group.protocol", "consumer")]).unwrap().get("partition.assignment.strategy"),
            None
        );
    }

    #[test]
    fn bounds_of_zero_are_refused() {
        for settings in [
            EngineSettings { concurrency: per_partition(0), ..Default::default() },
            EngineSettings { concurrency: by_key(0), ..Default::default() },
            EngineSettings { max_in_flight: 0, ..Default::default() },
            EngineSettings { batch_max: 0, ..Default::default() },
            EngineSettings { commit: tracked(Duration::from_secs(1), 0), ..Default::default() },
        ] {
            assert!(settings.check().is_err(), "{settings:?}");
        }
        assert!(EngineSettings::default().check().is_ok());
    }
}
