//! Options as the expansion hands them over: built for each message, or once.

use std::ops::Deref;
use std::sync::OnceLock;

use crate::kafka::known::First;
use crate::kafka::options::ProcessOptions;

/// What the arguments of a handler say: a closure that builds the options for this message, or [`ConstantOptions`].
pub trait HandlerOptions {
    /// The options. Called only if somebody wants to know of the message.
    #[doc(hidden)]
    fn said(self) -> Said;
}

/// Options, and whether they will be the same the next time.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "lies on the stack for a call; a box would cost an allocation")]
pub enum Said {
    Constant(&'static Made),
    ThisTime(ProcessOptions),
}

/// Options that were built once, and what came of them.
#[derive(Debug)]
pub struct Made {
    options: ProcessOptions,
    first: First,
}

impl Said {
    /// Of options that will be the same the next time, what is known of their first topic.
    #[inline]
    pub(super) fn first(&self) -> Option<&'static First> {
        match self {
            Said::Constant(made) => Some(&made.first),
            Said::ThisTime(_) => None,
        }
    }

    pub(super) fn into_owned(self) -> ProcessOptions {
        match self {
            Said::Constant(made) => made.options.clone(),
            Said::ThisTime(options) => options,
        }
    }
}

impl Deref for Said {
    type Target = ProcessOptions;

    #[inline]
    fn deref(&self) -> &ProcessOptions {
        match self {
            Said::Constant(made) => &made.options,
            Said::ThisTime(options) => options,
        }
    }
}

impl<F: FnOnce() -> ProcessOptions> HandlerOptions for F {
    #[inline]
    fn said(self) -> Said {
        Said::ThisTime(self())
    }
}

/// Options that are the same for each message, because everything that was written is literal: built once.
#[derive(Debug)]
pub struct ConstantOptions {
    make: fn() -> ProcessOptions,
    made: OnceLock<Made>,
}

impl ConstantOptions {
    /// What `make` gives.
    #[must_use]
    pub const fn new(make: fn() -> ProcessOptions) -> Self {
        Self { make, made: OnceLock::new() }
    }
}

impl HandlerOptions for &'static ConstantOptions {
    #[inline]
    fn said(self) -> Said {
        Said::Constant(self.made.get_or_init(|| Made { options: (self.make)(), first: First::new() }))
    }
}
