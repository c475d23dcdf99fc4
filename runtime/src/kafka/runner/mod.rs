//! The runner: takes records of a group's partitions, has them handled, commits what is finished.
//!
//! | file | holds |
//! |---|---|
//! | `builder`, `settings`, `start` | what the user says, and how it starts |
//! | `handle`, `health`, `error` | what the user gets: closing, health, reports, errors |
//! | `work` | the seam to the policies: what is done with a record |
//! | `poll`, `rebalance`, `pause`, `errors` | the poll thread and its callbacks |
//! | `generation`, `tracker`, `commit` | one acquisition of a partition, its watermark, the one commit path |
//! | `partition`, `lanes`, `bound` | the tasks that take and handle records |
//! | `engine`, `counters`, `statistics`, `metrics`, `signal` | what they share, count and tell |

mod bound;
mod builder;
mod commit;
mod counters;
mod engine;
mod error;
mod errors;
mod generation;
mod handle;
mod health;
mod lanes;
mod metrics;
mod partition;
mod pause;
mod poll;
mod rebalance;
mod settings;
mod signal;
mod start;
mod statistics;
mod tracker;
mod work;

pub use builder::Consumer;
pub use error::{CommitError, Report, RunError};
pub use handle::RunnerHandle;
pub use health::{HaltedPartition, RunnerHealth, RunnerState};
pub use settings::{Commit, Concurrency, by_key, manual, per_partition, per_record, sequential, tracked};
