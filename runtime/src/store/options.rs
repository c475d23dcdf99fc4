//! What a store is told.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::error::StoreError;
use super::lift::Lift;

/// How a store is opened. The variables belong to set-up, which reads them; nothing here does.
///
/// `Debug` leaves out what may be a password.
#[derive(Clone)]
#[non_exhaustive]
pub struct StoreOptions {
    /// `postgres://..` or `sqlite:PATH`. Variable: `THROUGHLINE_DATABASE_URL`; default `sqlite:./throughline.db`.
    pub url: String,
    /// Another way to the same PostgreSQL, past a pooler, for migrations. Variable:
    /// `THROUGHLINE_MIGRATION_DATABASE_URL`; default `url`.
    pub migration_url: Option<String>,
    /// Whether the schema is made and brought up to date with the first use. Variable: `THROUGHLINE_AUTO_MIGRATE`;
    /// default true.
    pub auto_migrate: bool,
    /// How PostgreSQL's table is cut. Variable: `THROUGHLINE_PARTITION`; default months.
    pub partition: Partition,
    /// How long spans are kept; `None` leaves it to others. Variable: `THROUGHLINE_RETENTION`; default 30 days.
    pub retention: Option<Duration>,
    /// Above this the oldest traces of an SQLite file go. Variable: `THROUGHLINE_SQLITE_MAX_BYTES`; default 1 GiB.
    pub sqlite_max_bytes: u64,
    /// Whether PostgreSQL indexes every attribute. Variable: `THROUGHLINE_INDEX_ATTRIBUTES`; default false.
    pub index_attributes: bool,
    /// Which attributes become ids. Variable: `THROUGHLINE_LIFT`.
    pub lift: Lift,
    /// After this a query is given up; default 10 s.
    pub query_timeout: Duration,
    /// Memory that the rows of one query may take; default 256 MiB.
    pub max_answer_bytes: usize,
}

/// How much time one partition holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Partition {
    /// `month`: a calendar month in UTC.
    #[default]
    Month,
    /// `day`: a day in UTC.
    Day,
}

impl Partition {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Month => "month",
            Self::Day => "day",
        }
    }
}

/// Where spans go unless somebody says otherwise.
pub(crate) const DEFAULT_URL: &str = "sqlite:./throughline.db";

impl StoreOptions {
    /// The defaults for this URL.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            migration_url: None,
            auto_migrate: true,
            partition: Partition::default(),
            retention: Some(Duration::from_secs(30 * 86_400)),
            sqlite_max_bytes: 1 << 30,
            index_attributes: false,
            lift: Lift::default(),
            query_timeout: Duration::from_secs(10),
            max_answer_bytes: 256 << 20,
        }
    }

    /// Whether the schema is made with the first use.
    #[must_use]
    pub fn auto_migrate(mut self, migrate: bool) -> Self {
        self.auto_migrate = migrate;
        self
    }

    /// How PostgreSQL's table is cut.
    #[must_use]
    pub fn partition(mut self, partition: Partition) -> Self {
        self.partition = partition;
        self
    }

    /// How long spans are kept.
    #[must_use]
    pub fn retention(mut self, retention: Option<Duration>) -> Self {
        self.retention = retention;
        self
    }

    /// Above this the oldest traces of an SQLite file go.
    #[must_use]
    pub fn sqlite_max_bytes(mut self, bytes: u64) -> Self {
        self.sqlite_max_bytes = bytes;
        self
    }

    /// Whether PostgreSQL indexes every attribute.
    #[must_use]
    pub fn index_attributes(mut self, index: bool) -> Self {
        self.index_attributes = index;
        self
    }

    /// Which attributes become ids.
    #[must_use]
    pub fn lift(mut self, lift: Lift) -> Self {
        self.lift = lift;
        self
    }

    /// After this a query is given up.
    #[must_use]
    pub fn query_timeout(mut self, timeout: Duration) -> Self {
        self.query_timeout = timeout;
        self
    }

    /// Memory that the rows of one query may take.
    #[must_use]
    pub fn max_answer_bytes(mut self, bytes: usize) -> Self {
        self.max_answer_bytes = bytes;
        self
    }
}

impl fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreOptions")
            .field("url", &shown(&self.url))
            .field("auto_migrate", &self.auto_migrate)
            .field("partition", &self.partition)
            .field("retention", &self.retention)
            .field("sqlite_max_bytes", &self.sqlite_max_bytes)
            .field("index_attributes", &self.index_attributes)
            .finish_non_exhaustive()
    }
}

/// The kind of store that a URL names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The text that the driver reads.
    Postgres,
    Sqlite(PathBuf),
}

/// `sqlite:path`, `sqlite://path` and `sqlite:///absolute/path` are all understood.
pub(crate) fn kind(url: &str) -> Result<Kind, StoreError> {
    let (scheme, rest) = url
        .split_once(':')
        .ok_or(StoreError::Url { why: "has no `postgres:` or `sqlite:` in front".into() })?;
    match scheme.to_ascii_lowercase().as_str() {
        "postgres" | "postgresql" => Ok(Kind::Postgres),
        "sqlite" => {
            let path = rest.strip_prefix("//").unwrap_or(rest);
            if path.is_empty() {
                return Err(StoreError::Url { why: "names no file".into() });
            }
            if path.starts_with(":memory:") || path.starts_with("file:") || path.contains('?') {
                return Err(StoreError::Url {
                    why: "names no plain file; databases in memory are not offered".into(),
                });
            }
            Ok(Kind::Sqlite(PathBuf::from(path)))
        }
        _ => Err(StoreError::Url { why: "has an unknown scheme".into() }),
    }
}

/// The URL without user-info and parameters, for settings and logs.
pub(crate) fn shown(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return if url.to_ascii_lowercase().starts_with("sqlite:") {
            url.to_owned()
        } else {
            "REDACTED".to_owned()
        };
    };
    let (rest, parameters) = rest.split_once('?').map_or((rest, ""), |(rest, _)| (rest, "?REDACTED"));
    // The last one: a password may contain another.
    let (user, host) = rest.rsplit_once('@').map_or(("", rest), |(_, host)| ("REDACTED@", host));
    format!("{scheme}://{user}{host}{parameters}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_postgres_or_a_file() {
        assert_eq!(kind("postgres://u@h/d").unwrap(), Kind::Postgres);
        assert_eq!(kind("PostgreSQL://h").unwrap(), Kind::Postgres);
        assert_eq!(kind("sqlite:a/b.db").unwrap(), Kind::Sqlite("a/b.db".into()));
        assert_eq!(kind("sqlite:///a/b.db").unwrap(), Kind::Sqlite("/a/b.db".into()));
        for wrong in ["", "throughline.db", "mysql://h", "sqlite:", "sqlite::memory:"] {
            let error = kind(wrong).unwrap_err().to_string();
            assert!(error.contains("expected `postgres://"), "{error}");
        }
    }

    #[test]
    fn shown_url_has_no_password() {
        assert_eq!(
            shown("postgres://me:p@ss@db:5432/x?password=q"),
            "postgres://REDACTED@db:5432/x?REDACTED"
        );
        assert_eq!(shown("postgres://db/x"), "postgres://db/x");
        assert_eq!(shown("sqlite:./throughline.db"), "sqlite:./throughline.db");
        assert_eq!(shown("me:secret@db"), "REDACTED");
    }
}
