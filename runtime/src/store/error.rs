//! What a store refuses, and which of it may work later.

use std::borrow::Cow;
use std::error::Error;

/// Why a store could not do what it was asked.
///
/// No message contains a password or SQL; the database's own words are the [`source`](Error::source).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The URL names no store.
    #[error("THROUGHLINE_DATABASE_URL {why}; expected `postgres://USER@HOST/DATABASE` or `sqlite:PATH`")]
    Url {
        /// What is wrong with it, without the URL, which may hold a password.
        why: Cow<'static, str>,
    },

    /// The URL names a store that this build does not contain.
    #[error(
        "the store is {what}, which needs the feature `{feature}`; add it to `throughline` in Cargo.toml"
    )]
    FeatureMissing {
        /// What the URL names.
        what: &'static str,
        /// The Cargo feature that brings it.
        feature: &'static str,
    },

    /// The database is away, busy or shutting down. The same call may work later.
    #[error("the database cannot be used now: {why}")]
    Unavailable {
        /// What was tried, or what the database says about itself.
        why: Cow<'static, str>,
        /// The database's own words.
        #[source]
        source: Option<Box<dyn Error + Send + Sync>>,
    },

    /// The schema is not there, or older than this program, and migrations were turned off.
    #[error("the schema has version {found}, and this program needs {needed}; run `throughline migrate`")]
    NotMigrated {
        /// The version that the database has; 0 for none.
        found: i32,
        /// The version that this program brings.
        needed: i32,
    },

    /// A migration that was applied before is not the one that this program knows by its number.
    #[error("migration {version} was applied with other contents than this program has; nothing was changed")]
    ChangedMigration {
        /// Its number.
        version: i32,
    },

    /// A query was cut off because it took too long.
    #[error("the query was given up after its time limit; ask for a shorter time range")]
    TimedOut,

    /// What a query found takes more memory than [`max_answer_bytes`](super::StoreOptions::max_answer_bytes).
    #[error("the answer would be too large; ask for less at once")]
    TooLarge,

    /// A cursor that no answer of this query contained.
    #[error("the cursor is none that this list gave out")]
    Cursor,

    /// The database refused.
    #[error("the database refused: {why}")]
    Refused {
        /// In short.
        why: Cow<'static, str>,
        /// The database's own words.
        #[source]
        source: Option<Box<dyn Error + Send + Sync>>,
    },
}

impl StoreError {
    /// Whether the same call may work later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::TimedOut | Self::NotMigrated { .. })
    }

    pub(crate) fn unavailable(why: impl Into<Cow<'static, str>>) -> Self {
        Self::Unavailable { why: why.into(), source: None }
    }

    pub(crate) fn refused(why: impl Into<Cow<'static, str>>) -> Self {
        Self::Refused { why: why.into(), source: None }
    }
}
