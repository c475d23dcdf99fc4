//! The Send span of a `#[kafka_producer]`, for the first record that a producer of ours sends inside of the function.

use std::borrow::Cow;
use std::sync::{Mutex, PoisonError};

use opentelemetry::Context;

use super::metrics::Timer;
use crate::span::OwnedSpan;

/// A span that whoever sends the first record takes over.
#[derive(Debug)]
pub(super) struct Adopted {
    pub(super) span: OwnedSpan,
    pub(super) timer: Timer,
    pub(super) says: Says,
}

/// What the attribute said, and the producer does not overwrite.
#[derive(Clone, Debug)]
pub(super) struct Says {
    pub(super) name: bool,
    pub(super) topic: bool,
    pub(super) operation: Cow<'static, str>,
}

/// A value of the current context while the function runs.
#[derive(Debug)]
pub(super) struct Open(Mutex<Option<Adopted>>);

impl Open {
    pub(super) fn new(adopted: Adopted) -> Self {
        Open(Mutex::new(Some(adopted)))
    }

    pub(super) fn take(&self) -> Option<Adopted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The open span of the function that is running, if no record has it yet.
pub(super) fn take() -> Option<Adopted> {
    Context::map_current(|cx| cx.get::<std::sync::Arc<Open>>().and_then(|open| open.take()))
}
