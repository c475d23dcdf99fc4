//! What requests of this version say.

use std::time::{Duration, SystemTime};

use opentelemetry::trace::TraceId;

use crate::api::jaeger::ids;
use crate::api::jaeger::parameters::{Parameters, few_enough, refused, since_epoch, string_map};
use crate::api::jaeger::search::{MOST_TRACES, Search};
use crate::api::problem::Problem;

/// A search goes back this far unless it says from when.
const SEARCHED: Duration = Duration::from_secs(2 * 86_400);

const MICROSECOND_NS: u64 = 1_000;
const MILLISECOND_NS: u64 = 1_000_000;

/// A search, or traces by their ids.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) search: Search,
    /// Then nothing else matters.
    pub(super) ids: Vec<TraceId>,
    /// Without warnings.
    pub(super) is_raw: bool,
}

pub(super) fn search(given: &Parameters, now: SystemTime) -> Result<Asked, Problem> {
    let time = |name| Ok::<_, Problem>(given.whole(name)?.map(|us| since_epoch(us, MICROSECOND_NS)));
    let to = time("end")?.unwrap_or(now);
    let from = match time("start")? {
        Some(from) => from,
        None => now.checked_sub(SEARCHED).unwrap_or(now),
    };
    let mut search = Search::between(from, to);
    search.named(given.get("service"), given.get("operation"));
    let (shortest, longest) = (given.duration_ns(&["minDuration"])?, given.duration_ns(&["maxDuration"])?);
    if let (Some(shortest), Some(longest)) = (shortest, longest)
        && longest < shortest
    {
        return Err(Problem::parameter("maxDuration", "`maxDuration` is shorter than `minDuration`"));
    }
    search.lasting(shortest, longest);
    search.limited(given.depth(&["limit"])?);
    let attributes = attributes(given)?;
    few_enough("tags", attributes.len())?;
    for (key, value) in attributes {
        search.attribute(key, value);
    }
    let ids = given.all("traceID").map(|text| ids::from_hex(text).ok_or_else(not_an_id));
    let ids: Vec<TraceId> = ids.collect::<Result<_, _>>()?;
    if ids.len() > MOST_TRACES {
        return Err(Problem::parameter("traceID", format!("more than {MOST_TRACES} traces are asked for")));
    }
    if ids.is_empty() && search.filter.service.is_none() {
        return Err(service_missing());
    }
    Ok(Asked { search, ids, is_raw: given.flag(&["raw"])? })
}

/// `tag=key:value` and `tags={"key":"value"}`; of two with one key the last one counts.
fn attributes(given: &Parameters) -> Result<Vec<(String, String)>, Problem> {
    let mut attributes: Vec<(String, String)> = Vec::new();
    let mut set = |key: String, value: String| match attributes.iter_mut().find(|(known, _)| *known == key) {
        Some((_, known)) => *known = value,
        None => attributes.push((key, value)),
    };
    // Each is looked for among those before it.
    few_enough("tag", given.all("tag").count())?;
    for text in given.all("tag") {
        let (key, value) =
            text.split_once(':').ok_or_else(|| refused("tag", text, "expected `key:value`"))?;
        set(key.to_owned(), value.to_owned());
    }
    for text in given.all("tags") {
        let pairs = string_map("tags", text)?;
        few_enough("tags", pairs.len())?;
        for (key, value) in pairs {
            set(key, value);
        }
    }
    Ok(attributes)
}

/// The parameters beside a trace's id: the range is a hint for other stores, and only has to be one. Whether the trace is
/// wanted raw.
pub(super) fn trace(given: &Parameters) -> Result<bool, Problem> {
    given.whole("start")?;
    given.whole("end")?;
    given.flag(&["raw"])
}

/// The time range of dependencies: without an end until now, without both the day before.
pub(super) fn range(
    given: &Parameters,
    now: SystemTime,
) -> Result<(Option<SystemTime>, Option<SystemTime>), Problem> {
    let to = given.whole("endTs")?.map(|ms| since_epoch(ms, MILLISECOND_NS));
    let from = given.whole("lookback")?.map(|ms| {
        let lookback =
            since_epoch(ms, MILLISECOND_NS).duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        to.unwrap_or(now).checked_sub(lookback).unwrap_or(SystemTime::UNIX_EPOCH)
    });
    Ok((from, to))
}

pub(super) fn service_missing() -> Problem {
    Problem::parameter("service", "`service` is required")
}

pub(super) fn not_an_id() -> Problem {
    Problem::parameter("traceID", "a trace id is 1 to 32 hexadecimal digits")
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    const NOW: SystemTime = UNIX_EPOCH;

    fn asked(query: &str) -> Result<Asked, Problem> {
        search(&Parameters::of(&format!("/api/traces?{query}").parse().unwrap()), NOW)
    }

    #[test]
    fn search_says_what_is_wanted() {
        let asked = asked(
            "service=shop&operation=GET+%2F&start=1000&end=2000&limit=7&minDuration=1ms&maxDuration=1.5s\
             &tags=%7B%22a%22%3A%221%22%2C%22error%22%3A%22true%22%7D&tag=b:x:y&raw=true",
        )
        .unwrap();
        let filter = asked.search.filter;
        assert_eq!((filter.service.as_deref(), filter.operation.as_deref()), (Some("shop"), Some("GET /")));
        let at = |us| UNIX_EPOCH + Duration::from_micros(us);
        assert_eq!(filter.span_range, Some((at(1_000), at(2_000) + Duration::from_nanos(1))));
        assert_eq!(filter.min_duration, Some(Duration::from_millis(1)));
        assert_eq!(filter.max_duration, Some(Duration::from_millis(1_500)));
        assert_eq!(filter.status, Some(2));
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(filter.attributes_anywhere, [pair("b", "x:y"), pair("a", "1")]);
        assert_eq!((asked.search.depth, asked.is_raw, asked.ids.len()), (7, true, 0));
    }

    #[test]
    fn defaults_are_those_of_jaeger() {
        let now = UNIX_EPOCH + Duration::from_secs(10 * 86_400);
        let given = Parameters::of(&"/api/traces?service=s".parse().unwrap());
        let asked = search(&given, now).unwrap();
        assert_eq!(asked.search.depth, 100);
        assert_eq!(asked.search.filter.span_range, Some((now - SEARCHED, now + Duration::from_nanos(1))));
        let dependencies = |query: &str| {
            range(&Parameters::of(&format!("/api/dependencies?{query}").parse().unwrap()), now).unwrap()
        };
        let at = |ms| Some(UNIX_EPOCH + Duration::from_millis(ms));
        assert_eq!(dependencies("endTs=5000&lookback=2000"), (at(3_000), at(5_000)));
        assert_eq!(dependencies("lookback=1000"), (Some(now - Duration::from_secs(1)), None));
        assert_eq!(dependencies("x=1"), (None, None), "then it is a day");
    }

    #[test]
    fn later_value_of_a_key_counts() {
        let attributes = asked("service=s&tag=a:1&tag=a:2&tags=%7B%22b%22%3A%223%22%7D&tag=b:4").unwrap();
        let attributes = attributes.search.filter.attributes_anywhere;
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(attributes, [pair("a", "2"), pair("b", "3")], "`tags` after `tag`");
    }

    #[test]
    fn wrong_parameters_are_named() {
        let many = "&tag=a:1".repeat(65);
        for (query, parameter) in [
            ("", "service"),
            ("service=", "service"),
            ("service=s&limit=x", "limit"),
            ("service=s&limit=0", "limit"),
            ("service=s&start=now", "start"),
            ("service=s&end=1.5", "end"),
            ("service=s&minDuration=5", "minDuration"),
            ("service=s&maxDuration=5d", "maxDuration"),
            ("service=s&minDuration=2s&maxDuration=1s", "maxDuration"),
            ("service=s&tag=a", "tag"),
            ("service=s&tags=a", "tags"),
            ("service=s&tags=%7B%22a%22%3A1%7D", "tags"),
            ("service=s&raw=perhaps", "raw"),
            ("traceID=xyz", "traceID"),
            ("traceID=", "traceID"),
            (many.as_str(), "tag"),
        ] {
            let problem = asked(query).unwrap_err();
            assert_eq!(
                (problem.status.as_u16(), problem.parameter.as_deref()),
                (400, Some(parameter)),
                "{query}"
            );
        }
        assert_eq!(asked("traceID=1&traceID=2").unwrap().ids.len(), 2, "a service is not needed then");
    }
}
