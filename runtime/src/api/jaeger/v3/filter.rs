//! `query.filter`: a question as a tree. Of Jaeger's operators `and` and `eq` are known here, the rest is refused.
//!
//! `{"op":"eq","args":[{"attr":{"key":"http.route","level":"span"}},{"scalar":{"value":"/a"}}]}`; within `and` an argument is
//! `{"call":{"op":..,"args":[..]}}`. A field is `{"field":{"name":"service","level":"resource"}}`.

use serde_json::{Map, Value as Json};

use crate::api::jaeger::duration;
use crate::api::jaeger::parameters::few_enough;
use crate::api::jaeger::search::{Search, kind};
use crate::api::problem::Problem;

/// Adds what the text asks for.
pub(super) fn apply(search: &mut Search, text: &str) -> Result<(), Problem> {
    let filter: Json = serde_json::from_str(text).map_err(|_| refused("it is no JSON"))?;
    let mut conditions = 0;
    call(search, &filter, &mut conditions)
}

fn refused(why: impl std::fmt::Display) -> Problem {
    Problem::parameter("query.filter", format!("`query.filter` cannot be carried out: {why}"))
}

/// The depth of the tree is bounded by the parser's.
fn call(search: &mut Search, call_: &Json, conditions: &mut usize) -> Result<(), Problem> {
    let op = call_.get("op").and_then(Json::as_str).unwrap_or_default();
    let args = call_.get("args").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
    match (op, args) {
        ("and", [_, ..]) => {
            for arg in args {
                let inner = arg.get("call").ok_or_else(|| refused("an argument of `and` is no call"))?;
                call(search, inner, conditions)?;
            }
            Ok(())
        }
        ("eq", [subject, value]) => {
            *conditions += 1;
            few_enough("query.filter", *conditions)?;
            let value = value.get("scalar").and_then(|scalar| scalar.get("value")).and_then(Json::as_str);
            equal(
                search,
                subject,
                value.ok_or_else(|| refused("`eq` needs a scalar as its second argument"))?,
            )
        }
        ("and" | "eq", _) => Err(refused(format_args!("`{op}` has the wrong number of arguments"))),
        _ => Err(refused("the operators `and` and `eq` are known")),
    }
}

fn equal(search: &mut Search, subject: &Json, value: &str) -> Result<(), Problem> {
    let text =
        |of: &Map<String, Json>, key: &str| of.get(key).and_then(Json::as_str).unwrap_or_default().to_owned();
    if let Some(Json::Object(attribute)) = subject.get("attr") {
        let (key, level) = (text(attribute, "key"), text(attribute, "level"));
        return match level.as_str() {
            "" => {
                search.attribute(key, value.to_owned());
                Ok(())
            }
            "span" => {
                search.filter.attributes.push((key, value.to_owned()));
                Ok(())
            }
            _ => Err(refused("attributes are known at the level `span`, or at none")),
        };
    }
    let Some(Json::Object(field)) = subject.get("field") else {
        return Err(refused("`eq` needs an attribute or a field as its first argument"));
    };
    match text(field, "name").as_str() {
        "service" => only(&mut search.filter.service, value, &mut search.is_impossible),
        "name" => only(&mut search.filter.operation, value, &mut search.is_impossible),
        "kind" if kind(value).is_some() => search.attribute("span.kind".to_owned(), value.to_owned()),
        "status" => match value {
            "unset" => search.status(0),
            "ok" => search.status(1),
            "error" => search.status(2),
            _ => return Err(refused("`status` is `unset`, `ok` or `error`")),
        },
        "kind" => return Err(refused("`kind` is `internal`, `server`, `client`, `producer` or `consumer`")),
        "duration" => match duration::parse(value) {
            Some(ns) if search.filter.min_duration.is_none() => {
                search.lasting(Some(ns), Some(ns));
            }
            Some(_) => return Err(refused("`duration` is asked for twice")),
            None => return Err(refused("`duration` is not like `1.5s`, `200ms` or `1h30m`")),
        },
        _ => return Err(refused("the fields `service`, `name`, `kind`, `status` and `duration` are known")),
    }
    Ok(())
}

/// Two different values cannot both hold.
fn only(slot: &mut Option<String>, value: &str, is_impossible: &mut bool) {
    *is_impossible |= slot.as_ref().is_some_and(|known| known != value);
    *slot = Some(value.to_owned());
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use opentelemetry::trace::SpanKind;

    use super::*;

    fn filtered(text: &str) -> Result<Search, Problem> {
        let mut search = Search::between(UNIX_EPOCH, UNIX_EPOCH);
        apply(&mut search, text).map(|()| search)
    }

    fn eq(subject: &str, value: &str) -> String {
        format!(r#"{{"op":"eq","args":[{subject},{{"scalar":{{"value":"{value}"}}}}]}}"#)
    }

    #[test]
    fn conjunctions_of_equalities_are_carried_out() {
        let call = |subject: &str, value: &str| format!(r#"{{"call":{}}}"#, eq(subject, value));
        let field = |name: &str| format!(r#"{{"field":{{"name":"{name}","level":"span"}}}}"#);
        let inner = [call(&field("kind"), "client"), call(&field("status"), "error")].join(",");
        let all = [
            call(&field("service"), "shop"),
            call(&field("name"), "GET"),
            call(r#"{"attr":{"key":"a"}}"#, "1"),
            call(r#"{"attr":{"key":"b","level":"span"}}"#, "2"),
            format!(r#"{{"call":{{"op":"and","args":[{inner}]}}}}"#),
        ];
        let found = filtered(&format!(r#"{{"op":"and","args":[{}]}}"#, all.join(","))).unwrap().filter;
        assert_eq!((found.service.as_deref(), found.operation.as_deref()), (Some("shop"), Some("GET")));
        assert_eq!((found.kind, found.status), (Some(SpanKind::Client), Some(2)));
        assert_eq!(found.attributes_anywhere, [("a".to_owned(), "1".to_owned())]);
        assert_eq!(found.attributes, [("b".to_owned(), "2".to_owned())]);
        let exact = filtered(&eq(&field("duration"), "2ms")).unwrap().filter;
        assert_eq!(exact.min_duration, exact.max_duration);
        assert!(exact.min_duration.is_some());
    }

    #[test]
    fn everything_else_is_refused() {
        let attribute = r#"{"attr":{"key":"a"}}"#;
        for text in [
            "",
            "x",
            "{}",
            "[]",
            r#"{"op":"or","args":[]}"#,
            r#"{"op":"and","args":[]}"#,
            r#"{"op":"and","args":[{"op":"eq"}]}"#,
            r#"{"op":"eq","args":[]}"#,
            r#"{"op":"gt","args":[{"attr":{"key":"a"}},{"scalar":{"value":"1"}}]}"#,
            r#"{"op":"eq","args":[{"attr":{"key":"a"}},{"list":{"values":["1"]}}]}"#,
            r#"{"op":"eq","args":[{"attr":{"key":"a"}},{"scalar":{"value":1}}]}"#,
            &eq(r#"{"attr":{"key":"a","level":"link"}}"#, "1"),
            &eq(r#"{"field":{"name":"rootName"}}"#, "1"),
            &eq(r#"{"field":{"name":"kind"}}"#, "robot"),
            &eq(r#"{"field":{"name":"status"}}"#, "fine"),
            &eq(r#"{"field":{"name":"duration"}}"#, "2"),
            &"[".repeat(10_000),
        ] {
            let problem = filtered(text).unwrap_err();
            assert_eq!(
                (problem.status.as_u16(), problem.parameter.as_deref()),
                (400, Some("query.filter")),
                "{text}"
            );
        }
        let calls = vec![format!(r#"{{"call":{}}}"#, eq(attribute, "1")); 65];
        assert!(filtered(&format!(r#"{{"op":"and","args":[{}]}}"#, calls.join(","))).is_err(), "too many");
    }

    #[test]
    fn two_services_are_no_span() {
        let call = |value: &str| format!(r#"{{"call":{}}}"#, eq(r#"{"field":{"name":"service"}}"#, value));
        let both = format!(r#"{{"op":"and","args":[{},{}]}}"#, call("a"), call("b"));
        assert!(filtered(&both).unwrap().is_impossible);
    }
}
