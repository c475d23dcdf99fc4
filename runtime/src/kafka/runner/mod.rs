//! The runner: takes records of a group's partitions, has them handled, commits what is finished.
//!
//! | file | holds |
//! |---|---|
//! | `builder`, `settings`, `start` | what the user says, and how it starts |
//! | `handle`, `health`, `error` | what the user gets: closing, health, reports, errors |
//! | `work` | the seam to the policies: what is done with a record |
//! | `policy`, `wording`, `retry` | what the user says about failures, and the waits between attempts |
//! | `handler`, `input`, `extract` | functions that are handlers, and what they take |
//! | `handling`, `attempt`, `failure`, `running` | what is done with a record: attempts, spans, policies |
//! | `dead_letter` | the dead-letter topic |
//! | `poll`, `rebalance`, `pause`, `errors` | the poll thread and its callbacks |
//! | `generation`, `owned`, `tracker`, `commit` | one acquisition of a partition, all of them, the watermark, the one commit path |
//! | `beginning`, `farewell` | when the tasks of partitions that come back begin, and how the client closes |
//! | `partition`, `turn`, `lanes`, `bound` | the tasks that take and handle records |
//! | `engine`, `constants`, `counters`, `statistics`, `metrics`, `lines`, `signal` | what they share, count and tell |

mod attempt;
mod beginning;
mod bound;
mod builder;
mod commit;
mod constants;
mod counters;
mod dead_letter;
mod engine;
mod error;
mod errors;
mod extract;
mod failure;
mod farewell;
mod generation;
mod handle;
mod handler;
mod handling;
mod health;
mod input;
mod lanes;
mod lines;
mod metrics;
mod owned;
mod partition;
mod pause;
mod policy;
mod poll;
mod rebalance;
mod retry;
pub(in crate::kafka) mod running;
mod settings;
mod signal;
mod start;
mod statistics;
mod tracker;
mod turn;
mod wording;
mod work;

pub use builder::Consumer;
pub use error::{CommitError, Report, RunError};
pub use extract::{Ack, Attempt, Extract, State};
pub use handle::RunnerHandle;
pub use handler::{Handler, HandlerError, Returned};
pub use health::{HaltedPartition, RunnerHealth, RunnerState};
pub use input::Input;
pub use policy::{DeadLetterContext, DeadLetterHeaders, OnFailure, OnPanic, RetryErrors};
pub use retry::Backoff;
pub use settings::{Commit, Concurrency, by_key, manual, per_partition, per_record, sequential, tracked};
