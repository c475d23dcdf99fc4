//! The queries, once for both databases.

mod attributes;
mod count;
mod dependencies;
mod list;
mod names;
mod service_counts;
mod spans;
mod stats;
mod tail;
mod wanted;

pub(super) use self::dependencies::dependencies;
pub(super) use self::list::{list, trace, traces};
pub(super) use self::names::{operations, services};
pub(super) use self::service_counts::service_counts;
pub(super) use self::spans::spans;
pub(super) use self::stats::{latency, stats};
pub(super) use self::tail::tail;
