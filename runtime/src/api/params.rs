//! The query of a URL. Nothing in it is passed over in silence: who misspells a filter would take all traces for the ones
//! that were asked for.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use http::Uri;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use opentelemetry::trace::TraceId;
use percent_encoding::percent_decode_str;

use super::problem::Problem;

/// Longest value of a parameter, in bytes. Nothing that is stored and can be asked for is longer.
const LONGEST: usize = 4_096;

/// More than 30,000 years.
const MOST_MILLISECONDS: f64 = 1e15;

/// How often a parameter may be repeated, where it may be at all: each makes the statement longer.
const MOST_REPEATED: usize = 16;

/// The parameters of a request, decoded.
#[derive(Debug)]
pub(crate) struct Params {
    pairs: Vec<(&'static str, String)>,
}

impl Params {
    /// Reads the parameters; 400 for one that is not `known`, and for one that comes twice and is not `repeated`, too.
    pub(crate) fn new(uri: &Uri, known: &[&'static str], repeated: &[&'static str]) -> Result<Self, Problem> {
        let mut pairs: Vec<(&'static str, String)> = Vec::new();
        for pair in uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decode(name).ok_or_else(|| {
                Problem::new(http::StatusCode::BAD_REQUEST, "the name of a parameter is no UTF-8")
            })?;
            let is_repeated = repeated.contains(&name.as_str());
            let Some(name) = known.iter().copied().find(|known| *known == name) else {
                let detail = if known.is_empty() {
                    "there are no parameters here".to_owned()
                } else {
                    format!("there is no such parameter here; expected one of {}", known.join(", "))
                };
                return Err(Problem::parameter(name, detail));
            };
            let value = decode(value).ok_or_else(|| Problem::parameter(name, "the value is no UTF-8"))?;
            if value.len() > LONGEST {
                return Err(Problem::parameter(name, format!("the value is longer than {LONGEST} bytes")));
            }
            let times = pairs.iter().filter(|(known, _)| *known == name).count();
            if times >= if is_repeated { MOST_REPEATED } else { 1 } {
                return Err(Problem::parameter(name, "it is given too often"));
            }
            pairs.push((name, value));
        }
        Ok(Self { pairs })
    }

    /// The value of a parameter.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// The values of a parameter that may be repeated.
    pub(crate) fn all<'p>(&'p self, name: &'p str) -> impl Iterator<Item = &'p str> {
        self.pairs.iter().filter(move |(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// A value that some type reads.
    pub(crate) fn parsed<T>(
        &self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
        expected: impl Display,
    ) -> Result<Option<T>, Problem> {
        match self.text(name) {
            None => Ok(None),
            Some(text) => match parse(text) {
                Some(value) => Ok(Some(value)),
                None => Err(Problem::parameter(name, format!("expected {expected}"))),
            },
        }
    }

    /// A whole number within bounds.
    pub(crate) fn number<T: FromStr + PartialOrd + Display>(
        &self,
        name: &'static str,
        bounds: RangeInclusive<T>,
    ) -> Result<Option<T>, Problem> {
        let expected = format!("a whole number from {} to {}", bounds.start(), bounds.end());
        // `+5` would be read, too.
        let is_plain = |text: &&str| text.bytes().all(|byte| byte.is_ascii_digit());
        let read =
            |text: &str| Some(text).filter(is_plain)?.parse().ok().filter(|number| bounds.contains(number));
        self.parsed(name, read, expected)
    }

    /// One of several words.
    pub(crate) fn word<T: Clone>(
        &self,
        name: &'static str,
        words: &[(&str, T)],
    ) -> Result<Option<T>, Problem> {
        let expected: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let read = |text: &str| words.iter().find(|(word, _)| *word == text).map(|(_, value)| value.clone());
        self.parsed(name, read, format!("one of {}", expected.join(", ")))
    }

    /// A time of RFC 3339; one without a zone is UTC.
    pub(crate) fn time(&self, name: &'static str) -> Result<Option<SystemTime>, Problem> {
        self.parsed(name, time, "a time like 2026-11-21T19:27:14Z")
    }

    /// Milliseconds, also with a fraction.
    pub(crate) fn milliseconds(&self, name: &'static str) -> Result<Option<Duration>, Problem> {
        let read = |text: &str| {
            let number: f64 = text.parse().ok().filter(|number| *number <= MOST_MILLISECONDS)?;
            Duration::try_from_secs_f64(number / 1e3).ok()
        };
        self.parsed(name, read, "a number of milliseconds from 0 to 1e15")
    }

    /// The 32 hex digits of a trace.
    pub(crate) fn trace_id(&self, name: &'static str) -> Result<Option<TraceId>, Problem> {
        self.parsed(name, trace_id, "32 hex digits")
    }
}

/// Reads a trace id.
pub(crate) fn trace_id(text: &str) -> Option<TraceId> {
    let is_hex = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hex { TraceId::from_hex(text).ok() } else { None }
}

fn decode(text: &str) -> Option<String> {
    let text = text.replace('+', " ");
    percent_decode_str(&text).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

/// In a query the sign of an offset means a blank, unless it was escaped; nobody remembers that.
fn time(text: &str) -> Option<SystemTime> {
    let read = |text: &str| {
        let at = text.parse::<Timestamp>().ok();
        at.or_else(|| TimeZone::UTC.to_timestamp(text.parse::<DateTime>().ok()?).ok())
    };
    let at = if text.contains(['T', 't']) { read(&text.replace(' ', "+")) } else { read(text) };
    at.map(SystemTime::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(query: &str) -> Result<Params, Problem> {
        let uri: Uri = format!("/x?{query}").parse().unwrap();
        Params::new(&uri, &["a", "b", "attr"], &["attr"])
    }

    #[test]
    fn parameters_are_decoded() {
        let params = params("a=x+y%C3%A9&&b=&attr=1&attr=2").unwrap();
        assert_eq!(params.text("a"), Some("x yé"));
        assert_eq!(params.text("b"), Some(""), "no value is a value, too");
        assert_eq!(params.all("attr").collect::<Vec<_>>(), ["1", "2"]);
    }

    #[test]
    fn unknown_repeated_and_broken_ones_are_refused_by_name() {
        let refused = |query: &str| params(query).unwrap_err();
        for (query, name) in [
            ("c=1", "c"),
            ("a=1&a=2", "a"),
            ("a=%FF", "a"),
            (&format!("b={}", "x".repeat(5_000)), "b"),
            (&"attr=1&".repeat(17), "attr"),
        ] {
            assert_eq!(refused(query).parameter.as_deref(), Some(name), "{query}");
        }
        assert_eq!(refused("%FF=1").status, 400);
    }

    #[test]
    fn numbers_keep_to_their_bounds() {
        let number = |query: &str| params(query).unwrap().number("a", 1..=100_u32);
        assert_eq!(number("a=100").unwrap(), Some(100));
        assert_eq!(number("").unwrap(), None);
        for wrong in ["", "0", "101", "-1", "%2B5", "1.0", "x", "99999999999999999999"] {
            assert!(number(&format!("a={wrong}")).is_err(), "{wrong}");
        }
    }

    #[test]
    fn milliseconds_are_finite_and_not_negative() {
        let milliseconds = |text: &str| params(&format!("a={text}")).unwrap().milliseconds("a");
        assert_eq!(milliseconds("1.5").unwrap(), Some(Duration::from_micros(1_500)));
        for wrong in ["", "-1", "NaN", "inf", "1000000000000001", "1e300", "x"] {
            assert!(milliseconds(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn time_without_zone_is_utc() {
        let at = |text: &str| {
            time(text).map(|time| time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis())
        };
        for same in [
            "2024-02-29T12:00:00Z",
            "2024-02-29T12:00:00",
            "2024-02-29 12:00:00",
            "2024-02-29T13:00:00+01:00",
            "2024-02-29T13:00:00 01:00",
            "2024-02-29T12:00:00.000z",
        ] {
            assert_eq!(at(same), Some(1_709_208_000_000), "{same}");
        }
        assert_eq!(at("2024-02-29"), Some(1_709_164_800_000));
        for wrong in ["", "x", "2024-02-30T00:00:00Z", "99999-01-01T00:00:00Z", "12:00"] {
            assert_eq!(at(wrong), None, "{wrong}");
        }
    }
}
