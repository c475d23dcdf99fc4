//! How a function ended.

use std::borrow::Cow;

/// The outcome of a function, as its span records it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing to say: the status stays unset.
    None,
    /// Status Error.
    Failed {
        /// `error.type`.
        error_type: Cow<'static, str>,
        /// The status description.
        description: Option<Cow<'static, str>>,
    },
}
