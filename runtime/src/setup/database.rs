//! The settings of the exporter `database`.

use std::time::Duration;

use super::effective::{Resolver, Source};
#[cfg(feature = "serve")]
use super::environment::Environment;
use super::error::SetupError;
#[cfg(feature = "serve")]
use super::error::Warning;
use super::parse;
use crate::store::{self, DEFAULT_URL, Lift, Partition, StoreOptions};

const URL: &str = "THROUGHLINE_DATABASE_URL";
const MIGRATION_URL: &str = "THROUGHLINE_MIGRATION_DATABASE_URL";

/// Reads everything that the exporter needs to know.
///
/// # Errors
///
/// A URL that names no store, or one that is not compiled in. An application's own `DATABASE_URL` is never read.
pub(super) fn resolve(r: &mut Resolver<'_>, code: Option<&str>) -> Result<StoreOptions, SetupError> {
    let (url, source) = url(r, code)?;
    others(r, url, source)
}

/// The same for the program `throughline`, where the flag `--database` ranks above the variable; and the warnings.
#[cfg(feature = "serve")]
pub(crate) fn for_program(flag: Option<&str>) -> Result<(StoreOptions, Vec<Warning>), SetupError> {
    let environment = Environment::Process;
    let mut resolver = Resolver::new(&environment);
    let options = match flag {
        Some(url) => {
            check(url, "--database")?;
            others(&mut resolver, url.to_owned(), Source::Code)?
        }
        None => resolve(&mut resolver, None)?,
    };
    Ok((options, resolver.config.warnings().to_vec()))
}

fn others(r: &mut Resolver<'_>, url: String, source: Source) -> Result<StoreOptions, SetupError> {
    r.push("database.url", store::shown(&url), source);
    let mut options = StoreOptions::new(url);
    let default = options.clone();
    if let Some(url) = r.text(MIGRATION_URL) {
        check(&url, MIGRATION_URL)?;
        r.push("database.migration_url", store::shown(&url), Source::Variable(MIGRATION_URL));
        options.migration_url = Some(url);
    }
    options.auto_migrate = r.setting(
        "database.auto_migrate",
        &[("THROUGHLINE_AUTO_MIGRATE", parse::boolean)],
        None,
        default.auto_migrate,
        ToString::to_string,
    );
    options.partition = r.setting(
        "database.partition",
        &[("THROUGHLINE_PARTITION", |text| {
            parse::word(text, &[("month", Partition::Month), ("day", Partition::Day)])
        })],
        None,
        default.partition,
        |partition| partition.as_str().to_owned(),
    );
    options.retention = r.setting(
        "database.retention",
        &[("THROUGHLINE_RETENTION", parse::retention)],
        None,
        default.retention,
        |retention| retention.map_or_else(|| "off".to_owned(), days),
    );
    options.sqlite_max_bytes = r.setting(
        "database.sqlite_max_bytes",
        &[("THROUGHLINE_SQLITE_MAX_BYTES", |text| parse::bytes(text).map(|bytes| bytes as u64))],
        None,
        default.sqlite_max_bytes,
        ToString::to_string,
    );
    options.index_attributes = r.setting(
        "database.index_attributes",
        &[("THROUGHLINE_INDEX_ATTRIBUTES", parse::boolean)],
        None,
        default.index_attributes,
        ToString::to_string,
    );
    options.lift = r.setting(
        "database.lift",
        &[("THROUGHLINE_LIFT", |text| text.parse::<Lift>())],
        None,
        default.lift,
        ToString::to_string,
    );
    Ok(options)
}

fn url(r: &mut Resolver<'_>, code: Option<&str>) -> Result<(String, Source), SetupError> {
    if let Some(url) = r.text(URL) {
        check(&url, URL)?;
        return Ok((url, Source::Variable(URL)));
    }
    if let Some(url) = code {
        check(url, "`Setup::database_url`")?;
        return Ok((url.to_owned(), Source::Code));
    }
    check(DEFAULT_URL, "the exporter `database` without THROUGHLINE_DATABASE_URL")?;
    Ok((DEFAULT_URL.to_owned(), Source::Default))
}

/// Opening connects to nothing: it reads the URL, and finds what is missing in this build.
fn check(url: &str, setting: &str) -> Result<(), SetupError> {
    match store::open(StoreOptions::new(url)) {
        Ok(_) => Ok(()),
        Err(store::StoreError::FeatureMissing { what, feature }) => Err(SetupError::FeatureMissing {
            setting: setting.to_owned(),
            what: what.to_owned(),
            feature,
            instead: "",
        }),
        Err(error) => {
            let why = match &error {
                store::StoreError::Url { why } => format!("; the value {why}"),
                _ => String::new(),
            };
            Err(SetupError::Invalid {
                setting: setting.to_owned(),
                value: store::shown(url),
                expected: format!("`postgres://USER@HOST/DATABASE` or `sqlite:PATH`{why}"),
            })
        }
    }
}

fn days(duration: Duration) -> String {
    let hours = duration.as_secs() / 3_600;
    if hours.is_multiple_of(24) { format!("{}d", hours / 24) } else { format!("{hours}h") }
}
