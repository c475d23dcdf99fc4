//! Parameters of a request, and what both versions read from them.

use std::borrow::Cow;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::Uri;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value as Json};

use super::duration;
use crate::api::problem::Problem;

/// More attributes than anyone asks for at once; each is some ten parameters of a statement, which may have 32,766.
const MOST_ATTRIBUTES: usize = 64;

/// The query of a URL, in order. What is no UTF-8 becomes U+FFFD.
#[derive(Debug)]
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    pub(super) fn of(uri: &Uri) -> Self {
        let decoded = |text: &str| {
            let spaced =
                if text.contains('+') { Cow::Owned(text.replace('+', " ")) } else { Cow::Borrowed(text) };
            percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
        };
        let query = uri.query().unwrap_or_default();
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        Self(
            pairs
                .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
                .map(|(k, v)| (decoded(k), decoded(v)))
                .collect(),
        )
    }

    /// All values of a parameter.
    pub(super) fn all(&self, name: &'static str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The first value; an empty one is none.
    pub(super) fn get(&self, name: &'static str) -> Option<&str> {
        self.all(name).next().filter(|value| !value.is_empty())
    }

    /// The first of these names that has a value, with the value.
    pub(super) fn any(&self, names: &[&'static str]) -> Option<(&'static str, &str)> {
        names.iter().find_map(|name| Some((*name, self.get(name)?)))
    }

    /// `1 t T TRUE true True`, and the same for false.
    pub(super) fn flag(&self, names: &[&'static str]) -> Result<bool, Problem> {
        let Some((name, value)) = self.any(names) else { return Ok(false) };
        match value {
            "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
            "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
            other => Err(refused(name, other, "expected `true` or `false`")),
        }
    }

    /// A duration in nanoseconds; 0 is none.
    pub(super) fn duration_ns(&self, names: &[&'static str]) -> Result<Option<i64>, Problem> {
        let Some((name, value)) = self.any(names) else { return Ok(None) };
        match duration::parse(value) {
            Some(0) => Ok(None),
            Some(ns) => Ok(Some(ns)),
            None => Err(refused(name, value, "expected a duration such as `1.5s`, `200ms` or `1h30m`")),
        }
    }

    /// A whole number, as it stands for a count of units since 1970.
    pub(super) fn whole(&self, name: &'static str) -> Result<Option<i64>, Problem> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value.parse().map(Some).map_err(|_| refused(name, value, "expected a whole number"))
    }

    /// How many traces, at least one.
    pub(super) fn depth(&self, names: &[&'static str]) -> Result<Option<usize>, Problem> {
        let Some((name, value)) = self.any(names) else { return Ok(None) };
        let depth = value.parse::<i32>().ok().and_then(|depth| usize::try_from(depth).ok());
        match depth {
            Some(depth) if depth > 0 => Ok(Some(depth)),
            _ => Err(refused(name, value, "expected a whole number above 0")),
        }
    }

    /// A time as RFC 3339 has it.
    pub(super) fn time(&self, names: &[&'static str]) -> Result<Option<SystemTime>, Problem> {
        let Some((name, value)) = self.any(names) else { return Ok(None) };
        match value.parse::<jiff::Timestamp>() {
            Ok(time) => Ok(Some(SystemTime::from(time))),
            Err(_) => Err(refused(name, value, "expected a time such as `2026-08-11T12:00:00Z`")),
        }
    }
}

/// 400, with the value as far as it is worth reading.
pub(super) fn refused(name: &'static str, value: &str, expected: &'static str) -> Problem {
    let shown: String = value.chars().take(64).collect();
    Problem::parameter(name, format!("`{name}` is {shown:?}; {expected}"))
}

/// A time in units of so many nanoseconds since 1970; one before that is 1970.
pub(super) fn since_epoch(units: i64, unit_ns: u64) -> SystemTime {
    let ns = u64::try_from(units).unwrap_or(0).saturating_mul(unit_ns);
    // Times of spans are signed.
    UNIX_EPOCH + Duration::from_nanos(ns.min(i64::MAX.unsigned_abs() - 1))
}

/// A JSON object of strings, or `null`.
pub(super) fn string_map(name: &'static str, text: &str) -> Result<Vec<(String, String)>, Problem> {
    let expected = "expected a JSON object whose values are strings";
    let object: Option<Map<String, Json>> =
        serde_json::from_str(text).map_err(|_| refused(name, text, expected))?;
    let pairs = object.unwrap_or_default().into_iter().map(|(key, value)| match value {
        Json::String(value) => Ok((key, value)),
        _ => Err(refused(name, text, expected)),
    });
    pairs.collect()
}

/// 400 for more of them than a statement should hold.
pub(super) fn few_enough(name: &'static str, attributes: usize) -> Result<(), Problem> {
    if attributes <= MOST_ATTRIBUTES {
        return Ok(());
    }
    Err(Problem::parameter(name, format!("more than {MOST_ATTRIBUTES} attributes are asked for")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(query: &str) -> Parameters {
        Parameters::of(&format!("/x?{query}").parse().unwrap())
    }

    #[test]
    fn query_is_decoded_whatever_it_holds() {
        let given = parameters("a=1+2&a=%C3%A9%20%zz%ff&&b&c=&=d&e==f&%61=3");
        assert_eq!(given.all("a").collect::<Vec<_>>(), ["1 2", "é %zz\u{fffd}", "3"]);
        assert_eq!((given.get("b"), given.get("c"), given.get("e")), (None, None, Some("=f")));
        assert_eq!(given.any(&["b", "c", "a"]), Some(("a", "1 2")));
        assert_eq!(Parameters::of(&"/x".parse().unwrap()).get("a"), None);
    }

    #[test]
    fn values_that_are_none_are_refused_by_name() {
        let given = parameters("raw=yes&limit=0&n=1.5&t=yesterday&d=5&many=99999999999&neg=-1");
        for (name, refused) in [
            ("raw", given.flag(&["raw"]).err()),
            ("limit", given.depth(&["limit"]).err()),
            ("many", given.depth(&["many"]).err()),
            ("neg", given.depth(&["neg"]).err()),
            ("n", given.whole("n").err()),
            ("t", given.time(&["t"]).err()),
            ("d", given.duration_ns(&["d"]).err()),
        ] {
            let refused = refused.unwrap();
            assert_eq!((refused.status.as_u16(), refused.parameter.as_deref()), (400, Some(name)));
        }
        let given = parameters("raw=T&limit=7&n=-3&t=2026-08-11T12:00:00.5%2B02:00&d=0s");
        assert!(given.flag(&["other", "raw"]).unwrap());
        assert_eq!(given.depth(&["limit"]).unwrap(), Some(7));
        assert_eq!(given.whole("n").unwrap(), Some(-3));
        assert_eq!(given.time(&["t"]).unwrap(), Some(UNIX_EPOCH + Duration::from_millis(1_786_442_400_500)));
        assert_eq!(given.duration_ns(&["d"]).unwrap(), None, "0 is no bound");
    }

    #[test]
    fn times_far_away_are_the_nearest_that_there_are() {
        assert_eq!(since_epoch(-5, 1_000), UNIX_EPOCH);
        assert_eq!(since_epoch(3, 1_000), UNIX_EPOCH + Duration::from_micros(3));
        assert!(since_epoch(i64::MAX, 1_000_000) > UNIX_EPOCH + Duration::from_secs(9_000_000_000));
    }

    #[test]
    fn maps_hold_strings_alone() {
        assert_eq!(string_map("tags", r#"{"a":"1","b":"x y"}"#).unwrap().len(), 2);
        assert!(string_map("tags", "null").unwrap().is_empty());
        for wrong in [r#"{"a":1}"#, "[]", "x", "", r#"{"a":{"b":"c"}}"#, r#"{"a":null}"#] {
            assert!(string_map("tags", wrong).is_err(), "{wrong}");
        }
    }
}
