//! The cases of the W3C trace-context suite (level 2), on header lists: names, order and duplicates as they came.

use std::fmt::Write as _;

use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::{TraceContextExt as _, TraceFlags};
use proptest::prelude::*;
use throughline::propagation::{Duplicates, codec};

const TRACE: &str = "12345678901234567890123456789012";
const SPAN: &str = "1234567890123456";
const GOOD: &str = "00-12345678901234567890123456789012-1234567890123456-01";

type Headers = Vec<(String, Vec<u8>)>;

fn headers<const N: usize>(pairs: [(&str, &str); N]) -> Headers {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())).collect()
}

fn extract(headers: &Headers) -> Context {
    codec::extract(&Context::new(), headers, Duplicates::Reject)
}

/// The trace id that a span below `headers` has, if it continues a trace.
fn continued(headers: &Headers) -> Option<String> {
    let cx = extract(headers);
    let span = cx.span().span_context().clone();
    span.is_valid().then(|| span.trace_id().to_string())
}

/// What the next hop gets as tracestate.
fn forwarded_state(headers: &Headers) -> Option<String> {
    let mut next = Headers::new();
    codec::inject(&extract(headers), &mut next);
    let mut states = next.into_iter().filter(|(name, _)| name == "tracestate");
    let state = states.next().map(|(_, value)| String::from_utf8(value).unwrap());
    assert!(states.next().is_none(), "one tracestate at most");
    state
}

fn state(values: &[&str]) -> Option<String> {
    let mut list = headers([("traceparent", GOOD)]);
    list.extend(values.iter().map(|value| ("tracestate".to_owned(), value.as_bytes().to_vec())));
    assert_eq!(continued(&list).as_deref(), Some(TRACE), "a bad tracestate never costs the trace");
    forwarded_state(&list)
}

/// kafka.md T-4.
#[test]
fn traceparent_that_continues_the_trace() {
    for value in [
        GOOD.to_owned(),
        format!("00-{TRACE}-{SPAN}-00"),
        format!("\t {GOOD} \t"),
        format!("01-{TRACE}-{SPAN}-01"),
        format!("cc-{TRACE}-{SPAN}-01"),
        format!("cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like"),
        format!("fe-{TRACE}-{SPAN}-01-"),
        format!("00-{TRACE}-{SPAN}-ff"),
    ] {
        assert_eq!(continued(&headers([("traceparent", &value)])).as_deref(), Some(TRACE), "{value:?}");
    }
}

/// kafka.md T-4, T-10.
#[test]
fn traceparent_that_starts_a_new_trace() {
    for value in [
        String::new(),
        " ".to_owned(),
        format!("ff-{TRACE}-{SPAN}-01"),
        format!("0-{TRACE}-{SPAN}-01"),
        format!("000-{TRACE}-{SPAN}-01"),
        format!(".0-{TRACE}-{SPAN}-01"),
        format!("0.-{TRACE}-{SPAN}-01"),
        format!("00-{TRACE}-{SPAN}-01-"),
        format!("00-{TRACE}-{SPAN}-01-what-the-future-will-be-like"),
        format!("00-{TRACE}-{SPAN}-01.what-the-future-will-not-be-like"),
        format!("cc-{TRACE}-{SPAN}-01.what-the-future-will-not-be-like"),
        format!("00-{}-{SPAN}-01", "0".repeat(32)),
        format!("00-.2345678901234567890123456789012-{SPAN}-01"),
        format!("00-1234567890123456789012345678901.-{SPAN}-01"),
        format!("00-1234567890123456789012345678901-{SPAN}-01"),
        format!("00-{TRACE}3-{SPAN}-01"),
        format!("00-{TRACE}-{}-01", "0".repeat(16)),
        format!("00-{TRACE}-.234567890123456-01"),
        format!("00-{TRACE}-123456789012345.-01"),
        format!("00-{TRACE}-123456789012345-01"),
        format!("00-{TRACE}-{SPAN}7-01"),
        format!("00-{TRACE}-{SPAN}-0"),
        format!("00-{TRACE}-{SPAN}-001"),
        format!("00-{TRACE}-{SPAN}-.0"),
        format!("00-{TRACE}-{SPAN}-0."),
        format!("00-ABCDEFABCDEFABCDEFABCDEFABCDEFAB-{SPAN}-01"),
        format!("00-{TRACE}-{SPAN}-0A"),
        format!("00_{TRACE}_{SPAN}_01"),
        format!("cc-{TRACE}-{SPAN}-01-{}", "x".repeat(512)),
        "\u{e9}\u{e9}".to_owned(),
    ] {
        assert_eq!(continued(&headers([("traceparent", &value), ("tracestate", "a=1")])), None, "{value:?}");
        let forwarded = forwarded_state(&headers([("traceparent", &value), ("tracestate", "a=1")]));
        assert_eq!(forwarded, None, "{value:?}");
    }
}

/// kafka.md T-12.
#[test]
fn header_names_are_read_in_any_case() {
    for name in ["traceparent", "TraceParent", "TRACEPARENT", "TrAcEpArEnT"] {
        assert_eq!(continued(&headers([(name, GOOD)])).as_deref(), Some(TRACE));
    }
    for name in ["trace-parent", "trace.parent", "traceparent ", ""] {
        assert_eq!(continued(&headers([(name, GOOD)])), None);
    }
    let mixed = headers([("traceparent", GOOD), ("TrAcEsTaTe", "foo=1")]);
    assert_eq!(forwarded_state(&mixed).as_deref(), Some("foo=1"));
}

/// kafka.md T-6.
#[test]
fn duplicates_take_the_last_or_start_a_new_trace() {
    let other = format!("00-{}-{SPAN}-01", "a".repeat(32));
    let twice = headers([("traceparent", GOOD), ("x", "y"), ("Traceparent", &other)]);
    assert_eq!(continued(&twice), None);
    let last = codec::extract(&Context::new(), &twice, Duplicates::Last);
    assert_eq!(last.span().span_context().trace_id().to_string(), "a".repeat(32));

    let equal = headers([("traceparent", GOOD), ("traceparent", GOOD)]);
    assert_eq!(continued(&equal).as_deref(), Some(TRACE));
    // A null or ungrammatical one is no candidate.
    let one_good = headers([("traceparent", GOOD), ("traceparent", "garbage"), ("traceparent", "")]);
    assert_eq!(continued(&one_good).as_deref(), Some(TRACE));
}

/// kafka.md T-5.
#[test]
fn flags_sampled_and_random_are_carried_on() {
    for (given, expected) in [("00", 0), ("01", 1), ("02", 2), ("03", 3), ("ff", 3), ("fc", 0)] {
        let cx = extract(&headers([("traceparent", &format!("00-{TRACE}-{SPAN}-{given}"))]));
        assert_eq!(cx.span().span_context().trace_flags(), TraceFlags::new(expected));
        let mut next = Headers::new();
        codec::inject(&cx, &mut next);
        assert_eq!(next[0].1, format!("00-{TRACE}-{SPAN}-0{expected}").as_bytes());
    }
}

/// kafka.md T-4.
#[test]
fn future_versions_are_written_on_as_version_00() {
    let mut next = Headers::new();
    codec::inject(&extract(&headers([("traceparent", &format!("cc-{TRACE}-{SPAN}-01-x"))])), &mut next);
    assert_eq!(next, headers([("traceparent", GOOD)]));
}

/// kafka.md T-7.
#[test]
fn tracestate_lists_are_joined_in_order() {
    assert_eq!(state(&["foo=1", "bar=2"]).as_deref(), Some("foo=1,bar=2"));
    assert_eq!(
        state(&["foo=1", "", "bar=2", "  ", "rojo=1,congo=2"]).as_deref(),
        Some("foo=1,bar=2,rojo=1,congo=2")
    );
    let many: Vec<String> = (0..20).map(|n| format!("k{n}={n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(state(&many), Some(many.join(",")));
    assert_eq!(state(&["foo=1 \t , \t bar=2, \t baz=3"]).as_deref(), Some("foo=1,bar=2,baz=3"));
    assert_eq!(state(&["foo=1,,,bar=2,"]).as_deref(), Some("foo=1,bar=2"));
    assert_eq!(state(&[""]), None);
    assert_eq!(state(&[",,, ,"]), None);
}

#[test]
fn tracestate_keys_and_values_of_level_2() {
    let long_key = format!("{}=1", "a".repeat(256));
    let tenant_key = format!("{}@{}=1", "t".repeat(241), "v".repeat(14));
    let long_value = format!("a={}", "v".repeat(256));
    for kept in [
        "foo=1",
        "foo-_*/bar=4",
        "foo@=1",
        "foo@@bar=1,bar=2",
        "a@bar@baz=1",
        "0foo=1",
        "foo=1,foo=2",
        "foo=  a b",
        "a=!\"#$%&'()*+-./0123456789:;<>?@ABC[\\]^_`{|}~",
        &long_key,
        &tenant_key,
        &long_value,
    ] {
        assert_eq!(state(&[kept]).as_deref(), Some(kept), "{kept:?}");
    }
    let key_too_long = format!("{}=1", "a".repeat(257));
    let value_too_long = format!("a={}", "v".repeat(257));
    for dropped in [
        "foo",
        "foo=",
        "=1",
        "foo =1",
        "FOO=1",
        "foo.bar=1",
        "@foo=1",
        "_foo=1",
        "foo=bar=baz",
        "foo=1,bar",
        "foo=\u{e9}",
        "foo=a\u{7f}b",
        &key_too_long,
        &value_too_long,
    ] {
        assert_eq!(state(&[dropped]), None, "{dropped:?}");
    }
}

/// kafka.md T-8.
#[test]
fn tracestate_over_its_limits_is_dropped_whole() {
    let members = |n: usize| (0..n).map(|i| format!("bar{i:02}=1")).collect::<Vec<_>>().join(",");
    assert_eq!(state(&[&members(32)]), Some(members(32)));
    assert_eq!(state(&[&members(33)]), None);
    assert_eq!(state(&[&members(20), &members(13)]), None);
    let big = (0..32).map(|i| format!("k{i:02}={}", "v".repeat(250))).collect::<Vec<_>>().join(",");
    assert!(big.len() < 8_192 && state(&[&big]).is_some());
    assert_eq!(state(&[&big, &" ".repeat(200)]), None);
}

#[test]
fn tracestate_alone_is_no_context() {
    assert_eq!(continued(&headers([("tracestate", "foo=1")])), None);
    assert_eq!(forwarded_state(&headers([("tracestate", "foo=1")])), None);
}

#[test]
fn baggage_survives_a_bad_traceparent() {
    let cx = extract(&headers([
        ("traceparent", "garbage"),
        ("baggage", "plan=gold"),
        ("baggage", "tenant=a%20b;p=1"),
    ]));
    assert!(!cx.span().span_context().is_valid());
    assert_eq!(cx.baggage().get("plan").unwrap().as_str(), "gold");
    assert_eq!(cx.baggage().get("tenant").unwrap().as_str(), "a b");
    assert_eq!(cx.baggage().get_with_metadata("tenant").unwrap().1.as_str(), "p=1");
}

#[test]
fn baggage_members_that_break_the_grammar_are_left_out() {
    let given =
        "good=1, bad%zz=%zz ,=x,no-equals,b d=1,quote=\"x\",cut=%4,not-utf8=%ff,eq=a=b,\u{e9}=1, also = 2 ";
    let cx = extract(&headers([("baggage", given)]));
    let mut kept: Vec<_> = cx.baggage().iter().map(|(key, (value, _))| format!("{key}={value}")).collect();
    kept.sort_unstable();
    assert_eq!(kept, ["also=2", "eq=a=b", "good=1"]);
}

/// kafka.md T-9.
#[test]
fn baggage_over_its_limits_is_dropped_whole() {
    let members = |n: usize| (0..n).map(|i| format!("k{i}=1")).collect::<Vec<_>>().join(",");
    assert_eq!(extract(&headers([("baggage", &members(64))])).baggage().len(), 64);
    let with = |value: &str| extract(&headers([("traceparent", GOOD), ("baggage", value)]));
    for dropped in [members(65), format!("a=1,b={}", "x".repeat(8_187))] {
        assert_eq!(with(&dropped).baggage().len(), 0);
        assert_eq!(with(&dropped).span().span_context().trace_id().to_string(), TRACE);
    }
    assert_eq!(with(&format!("a=1,b={}", "x".repeat(8_186))).baggage().len(), 2);
}

/// kafka.md T-1.
#[test]
fn ten_hops_leave_one_traceparent() {
    let mut list =
        headers([("x-first", "1"), ("TraceParent", GOOD), ("tracestate", "a=1"), ("x-last", "\u{0}")]);
    for _ in 0..10 {
        let cx = extract(&list);
        codec::inject(&cx, &mut list);
    }
    assert_eq!(
        list,
        headers([("x-first", "1"), ("x-last", "\u{0}"), ("traceparent", GOOD), ("tracestate", "a=1")])
    );
}

/// kafka.md T-2.
#[test]
fn without_a_span_the_trace_headers_pass_through() {
    let mut list = headers([("traceparent", GOOD), ("tracestate", "a=1"), ("baggage", "old=1")]);
    let before = list.clone();
    codec::inject(&Context::new(), &mut list);
    assert_eq!(list, before);
    let baggage = Context::new().with_baggage([opentelemetry::KeyValue::new("new", "1")]);
    codec::inject(&baggage, &mut list);
    assert_eq!(list, headers([("traceparent", GOOD), ("tracestate", "a=1"), ("baggage", "new=1")]));
}

#[test]
fn only_the_last_1024_headers_are_looked_at() {
    let mut list = headers([("traceparent", GOOD)]);
    list.extend((0..1_023).map(|n| (format!("x-{n}"), vec![])));
    assert_eq!(continued(&list).as_deref(), Some(TRACE));
    list.push(("one-more".to_owned(), vec![]));
    assert_eq!(continued(&list), None);
}

/// The grammar of the specification, written down as naively as possible.
fn naive(value: &[u8]) -> Option<(u128, u64, u8)> {
    let text = String::from_utf8_lossy(value);
    let text = text.trim_matches([' ', '\t']);
    let fields: Vec<&str> = text.splitn(5, '-').collect();
    let [version, trace, span, flags, rest @ ..] = fields.as_slice() else { return None };
    let hex = |text: &str, length: usize| {
        (text.len() == length && text.bytes().all(|b| b"0123456789abcdef".contains(&b)))
            .then(|| u128::from_str_radix(text, 16).unwrap())
    };
    let (version, trace, span, flags) = (hex(version, 2)?, hex(trace, 32)?, hex(span, 16)?, hex(flags, 2)?);
    if version == 0xff || (version == 0 && !rest.is_empty()) || trace == 0 || span == 0 {
        return None;
    }
    Some((trace, u64::try_from(span).unwrap(), u8::try_from(flags).unwrap() & 3))
}

fn nearly_traceparent() -> impl Strategy<Value = Vec<u8>> {
    let valid = "[ \t]?(00|01|fe|ff|[0-9a-f]{2})-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-[a-z]{0,3})?[ \t]?";
    let edits = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4u8), 0..3);
    (valid, edits).prop_map(|(text, edits)| {
        let mut bytes = text.into_bytes();
        for (at, byte, kind) in edits {
            if bytes.is_empty() {
                break;
            }
            let at = at.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes[at] = b"0f-AFg:`/@"[usize::from(byte) % 10],
                2 => bytes.insert(at, b'0' + byte % 10),
                _ => drop(bytes.remove(at)),
            }
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// kafka.md T-15.
    #[test]
    fn both_parsers_agree(value in nearly_traceparent()) {
        prop_assert_eq!(codec::parse_traceparent(&value), naive(&value));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn hostile_headers_never_panic_and_others_keep_their_bytes(
        list in proptest::collection::vec(
            (
                prop_oneof!["(?i)traceparent|tracestate|baggage|b3", "[^a-zA-Z]{0,8}"],
                prop_oneof![any::<Vec<u8>>(), nearly_traceparent(), "[a-z]=[ -~]{0,9},?".prop_map(String::into_bytes)],
            ),
            0..12,
        ),
    ) {
        let cx = extract(&list);
        let mut next = list.clone();
        codec::inject(&cx, &mut next);
        let foreign = |list: &Headers| -> Headers {
            let ours = ["traceparent", "tracestate", "baggage"];
            list.iter().filter(|(name, _)| !ours.iter().any(|our| name.eq_ignore_ascii_case(our))).cloned().collect()
        };
        prop_assert_eq!(foreign(&next), foreign(&list));
        if cx.span().span_context().is_valid() {
            prop_assert_eq!(next.iter().filter(|(name, _)| name.eq_ignore_ascii_case("traceparent")).count(), 1);
            let again = extract(&next);
            prop_assert_eq!(again.span().span_context().clone(), cx.span().span_context().clone());
        }
        let mut text = String::new();
        write!(text, "{:?}", cx.baggage()).unwrap();
    }
}
