//! What requests of this version say. The names in lower camel case are the present ones, the others those before 2.19.

use std::time::SystemTime;

use super::filter;
use crate::api::jaeger::parameters::{Parameters, few_enough, string_map};
use crate::api::jaeger::search::Search;
use crate::api::problem::Problem;

/// A search, and whether its traces are wanted raw: without warnings.
pub(super) fn search(given: &Parameters) -> Result<(Search, bool), Problem> {
    let from = given.time(&["query.startTimeMin", "query.start_time_min"])?;
    let to = given.time(&["query.startTimeMax", "query.start_time_max"])?;
    let (Some(from), Some(to)) = (from, to) else {
        let missing = if from.is_none() { "query.startTimeMin" } else { "query.startTimeMax" };
        return Err(Problem::parameter(
            missing,
            "`query.startTimeMin` and `query.startTimeMax` are required",
        ));
    };
    if from >= to {
        return Err(Problem::parameter(
            "query.startTimeMin",
            "`query.startTimeMin` is not before `query.startTimeMax`",
        ));
    }
    let mut search = Search::between(from, to);
    search.limited(given.depth(&["query.searchDepth", "query.search_depth", "query.num_traces"])?);
    let is_raw = given.flag(&["query.rawTraces", "query.raw_traces"])?;

    let value = |names: &[&'static str]| given.any(names).map(|(_, value)| value);
    let service = value(&["query.serviceName", "query.service_name"]);
    let operation = value(&["query.operationName", "query.operation_name"]);
    let shortest = given.duration_ns(&["query.durationMin", "query.duration_min"])?;
    let longest = given.duration_ns(&["query.durationMax", "query.duration_max"])?;
    if let (Some(shortest), Some(longest)) = (shortest, longest)
        && longest < shortest
    {
        return Err(Problem::parameter(
            "query.durationMax",
            "`query.durationMax` is shorter than `query.durationMin`",
        ));
    }
    let attributes = match given.get("query.attributes") {
        Some(text) => string_map("query.attributes", text)?,
        None => Vec::new(),
    };
    few_enough("query.attributes", attributes.len())?;

    if let Some(text) = given.get("query.filter") {
        let others = service.is_some() || operation.is_some() || !attributes.is_empty();
        if others || shortest.is_some() || longest.is_some() {
            return Err(Problem::parameter(
                "query.filter",
                "`query.filter` stands for itself: no service, operation, attributes or duration beside it",
            ));
        }
        filter::apply(&mut search, text)?;
        return Ok((search, is_raw));
    }
    search.named(service, operation);
    search.lasting(shortest, longest);
    for (key, value) in attributes {
        search.attribute(key, value);
    }
    Ok((search, is_raw))
}

/// The parameters beside a trace's id: the range is a hint for other stores, and only has to be one. Whether the trace is
/// wanted raw.
pub(super) fn trace(given: &Parameters) -> Result<bool, Problem> {
    given.time(&["startTime", "start_time"])?;
    given.time(&["endTime", "end_time"])?;
    given.flag(&["rawTraces", "raw_traces"])
}

/// The time range of dependencies.
pub(super) fn range(given: &Parameters) -> Result<(SystemTime, SystemTime), Problem> {
    let from = given.time(&["startTime", "start_time"])?;
    let to = given.time(&["endTime", "end_time"])?;
    match (from, to) {
        (Some(from), Some(to)) if from < to => Ok((from, to)),
        (Some(_), Some(_)) => Err(Problem::parameter("startTime", "`startTime` is not before `endTime`")),
        (from, _) => {
            let missing = if from.is_none() { "startTime" } else { "endTime" };
            Err(Problem::parameter(missing, "`startTime` and `endTime` are required"))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    const RANGE: &str = "query.startTimeMin=1970-01-01T00:00:01Z&query.startTimeMax=1970-01-01T00:00:02Z";

    fn asked(query: &str) -> Result<(Search, bool), Problem> {
        search(&Parameters::of(&format!("/api/v3/traces?{query}").parse().unwrap()))
    }

    #[test]
    fn both_spellings_mean_the_same() {
        let camel = asked(
            "query.serviceName=shop&query.operationName=GET&query.startTimeMin=1970-01-01T00:00:01Z\
             &query.startTimeMax=1970-01-01T00:00:02Z&query.durationMin=1ms&query.durationMax=2ms\
             &query.searchDepth=7&query.rawTraces=true",
        )
        .unwrap();
        let snake = asked(
            "query.service_name=shop&query.operation_name=GET&query.start_time_min=1970-01-01T00:00:01Z\
             &query.start_time_max=1970-01-01T00:00:02Z&query.duration_min=1ms&query.duration_max=2ms\
             &query.num_traces=7&query.raw_traces=true",
        )
        .unwrap();
        assert_eq!(camel, snake);
        let (camel, is_raw) = camel;
        assert!(is_raw);
        assert_eq!(camel.filter.service.as_deref(), Some("shop"));
        assert_eq!(camel.depth, 7);
        let at = |s| UNIX_EPOCH + Duration::from_secs(s);
        assert_eq!(camel.filter.span_range, Some((at(1), at(2) + Duration::from_nanos(1))));
        assert_eq!(asked(RANGE).unwrap().0.depth, 100);
    }

    #[test]
    fn wrong_parameters_are_named() {
        for (query, parameter) in [
            ("", "query.startTimeMin"),
            ("query.startTimeMin=1970-01-01T00:00:01Z", "query.startTimeMax"),
            ("query.startTimeMin=x&query.startTimeMax=y", "query.startTimeMin"),
            ("query.start_time_min=1970-01-01T00:00:01Z&query.start_time_max=y", "query.start_time_max"),
            (
                "query.startTimeMin=1970-01-01T00:00:02Z&query.startTimeMax=1970-01-01T00:00:02Z",
                "query.startTimeMin",
            ),
        ] {
            let problem = asked(query).unwrap_err();
            assert_eq!(
                (problem.status.as_u16(), problem.parameter.as_deref()),
                (400, Some(parameter)),
                "{query}"
            );
        }
        for (query, parameter) in [
            ("query.searchDepth=x", "query.searchDepth"),
            ("query.num_traces=-1", "query.num_traces"),
            ("query.durationMin=1", "query.durationMin"),
            ("query.durationMax=1d", "query.durationMax"),
            ("query.durationMin=2s&query.durationMax=1s", "query.durationMax"),
            ("query.rawTraces=2", "query.rawTraces"),
            ("query.attributes=%7B%22a%22%3A1%7D", "query.attributes"),
            ("query.filter=%7B%7D", "query.filter"),
            ("query.filter=%7B%7D&query.serviceName=s", "query.filter"),
        ] {
            let problem = asked(&format!("{RANGE}&{query}")).unwrap_err();
            assert_eq!(
                (problem.status.as_u16(), problem.parameter.as_deref()),
                (400, Some(parameter)),
                "{query}"
            );
        }
    }
}
