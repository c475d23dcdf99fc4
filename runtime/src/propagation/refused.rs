//! Counts of what was refused, by reason.

use std::sync::atomic::{AtomicU64, Ordering};

/// Why a header, or a part of one, was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// The value is null or empty.
    Empty,
    /// A `traceparent` (or B3 or Jaeger id header) that does not follow its grammar.
    Traceparent,
    /// Two different valid values where [`Duplicates::Reject`](super::Duplicates::Reject) is set.
    Duplicate,
    /// A `tracestate` that does not follow its grammar.
    Tracestate,
    /// A `baggage` member that does not follow its grammar.
    Baggage,
    /// A value above its size, or a list above its number of members.
    TooLarge,
    /// More headers than are looked at.
    TooMany,
    /// A value that is not UTF-8 where text is needed.
    NotUtf8,
    /// A header block that the broker's client could not parse.
    Malformed,
    /// A record that is too large with a trace context, and was sent without one.
    NoRoom,
}

impl Refusal {
    /// Every reason, in the order of [`Refused::iter`].
    pub const ALL: [Refusal; 10] = [
        Refusal::Empty,
        Refusal::Traceparent,
        Refusal::Duplicate,
        Refusal::Tracestate,
        Refusal::Baggage,
        Refusal::TooLarge,
        Refusal::TooMany,
        Refusal::NotUtf8,
        Refusal::Malformed,
        Refusal::NoRoom,
    ];

    /// The value of the attribute `reason` on the metric `throughline.propagation.refused`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Refusal::Empty => "empty",
            Refusal::Traceparent => "traceparent",
            Refusal::Duplicate => "duplicate",
            Refusal::Tracestate => "tracestate",
            Refusal::Baggage => "baggage",
            Refusal::TooLarge => "too_large",
            Refusal::TooMany => "too_many",
            Refusal::NotUtf8 => "not_utf8",
            Refusal::Malformed => "malformed",
            Refusal::NoRoom => "no_room",
        }
    }
}

static COUNTS: [AtomicU64; Refusal::ALL.len()] = [const { AtomicU64::new(0) }; Refusal::ALL.len()];

/// Counts one refusal.
pub(crate) fn refuse(reason: Refusal) {
    if let Some(count) = COUNTS.get(reason as usize) {
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// How often this process refused something, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refused([u64; Refusal::ALL.len()]);

impl Refused {
    /// Number of refusals for `reason` since the process started.
    pub fn count(&self, reason: Refusal) -> u64 {
        self.0.get(reason as usize).copied().unwrap_or(0)
    }

    /// Each reason with its number.
    pub fn iter(&self) -> impl Iterator<Item = (Refusal, u64)> + '_ {
        Refusal::ALL.into_iter().map(|reason| (reason, self.count(reason)))
    }
}

/// How often this process refused a header, or a part of one, since it started.
pub fn refused() -> Refused {
    let mut counts = Refused::default();
    for (count, slot) in counts.0.iter_mut().zip(&COUNTS) {
        *count = slot.load(Ordering::Relaxed);
    }
    counts
}
