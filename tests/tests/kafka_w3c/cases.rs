//! The cases, from <https://www.w3.org/TR/trace-context-2/>, sections 3.2 to 3.4.

use super::adapter::{Adapter, Lines};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";
const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// What a call carries.
#[derive(Debug)]
struct Sent {
    trace: String,
    span: String,
    flags: String,
    state: Option<String>,
}

fn sent(lines: &Lines) -> Sent {
    let get = |wanted: &str| {
        let mut found = lines.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
        let value = found.next().map(|(_, value)| String::from_utf8(value.clone()).unwrap());
        assert!(found.next().is_none(), "{wanted} twice: {lines:?}");
        value
    };
    let parent = get("traceparent").expect("every call carries a traceparent");
    let fields: Vec<&str> = parent.split('-').collect();
    let ["00", trace, span, flags] = fields[..] else { panic!("{parent}") };
    let hex = |text: &str, length| {
        text.len() == length && text.bytes().all(|byte| b"0123456789abcdef".contains(&byte))
    };
    assert!(hex(trace, 32) && hex(span, 16) && hex(flags, 2), "{parent}");
    assert!(trace.contains(|c| c != '0') && span.contains(|c| c != '0'), "{parent}");
    Sent { trace: trace.to_owned(), span: span.to_owned(), flags: flags.to_owned(), state: get("tracestate") }
}

fn request(headers: &[(&str, &str)], calls: usize) -> Vec<Sent> {
    let lines = headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect();
    Adapter::get().deliver(lines, calls).iter().map(sent).collect()
}

/// Asserts that the trace goes on in a span of its own; gives what the call carried.
fn goes_on(headers: &[(&str, &str)]) -> Sent {
    let sent = request(headers, 1).remove(0);
    assert_eq!(sent.trace, TRACE, "{headers:?}");
    assert_ne!(sent.span, SPAN, "{headers:?}");
    sent
}

/// Asserts that another trace begins, without a tracestate.
fn begins_anew(headers: &[(&str, &str)]) {
    let sent = request(headers, 1).remove(0);
    let came = headers.iter().any(|(_, value)| value.contains(&sent.trace));
    assert!(!came, "{headers:?} was continued");
    assert_eq!(sent.state, None, "{headers:?}");
}

fn parent_begins_anew(value: &str) {
    begins_anew(&[("traceparent", value), ("tracestate", "foo=1")]);
}

/// What becomes of tracestate headers beside a good traceparent.
fn state(values: &[&str]) -> Option<String> {
    let mut headers = vec![("traceparent", GOOD)];
    headers.extend(values.iter().map(|value| ("tracestate", *value)));
    goes_on(&headers).state
}

fn kept(value: &str) {
    assert_eq!(state(&[value]).as_deref(), Some(value));
}

fn dropped(value: &str) {
    assert_eq!(state(&[value]), None, "{value:?}");
}

// The request as a whole.

#[test]
fn without_headers_a_trace_begins() {
    begins_anew(&[]);
}

#[test]
fn a_traceparent_alone_is_continued() {
    assert_eq!(goes_on(&[("traceparent", GOOD)]).state, None);
}

#[test]
fn both_headers_are_continued() {
    let sent = goes_on(&[("traceparent", GOOD), ("tracestate", "foo=1,bar=2")]);
    assert_eq!(sent.state.as_deref(), Some("foo=1,bar=2"));
}

#[test]
fn a_tracestate_alone_is_left_behind() {
    begins_anew(&[("tracestate", "foo=1")]);
    begins_anew(&[("tracestate", "foo=1,bar=2")]);
}

#[test]
fn several_calls_are_spans_of_one_trace() {
    let calls = request(&[("traceparent", GOOD)], 3);
    assert!(calls.iter().all(|call| call.trace == TRACE));
    let spans: std::collections::HashSet<_> = calls.iter().map(|call| &call.span).collect();
    assert_eq!(spans.len(), 3);
}

#[test]
fn several_calls_without_a_traceparent_are_spans_of_one_new_trace() {
    let calls = request(&[], 3);
    assert!(calls.iter().all(|call| call.trace == calls[0].trace));
    let spans: std::collections::HashSet<_> = calls.iter().map(|call| &call.span).collect();
    assert_eq!(spans.len(), 3);
}

#[test]
fn several_calls_with_a_bad_traceparent_begin_a_trace() {
    let bad = format!("00-{}-{SPAN}-01", "0".repeat(32));
    let calls = request(&[("traceparent", &bad)], 3);
    let spans: std::collections::HashSet<_> = calls.iter().map(|call| &call.span).collect();
    assert_eq!(spans.len(), 3);
}

// Names, and headers that come twice.

#[test]
fn two_traceparents_that_differ_begin_a_trace() {
    let other = format!("00-{}-{SPAN}-01", "1".repeat(32));
    begins_anew(&[("traceparent", &other), ("traceparent", GOOD)]);
    begins_anew(&[("traceparent", GOOD), ("x", "between"), ("TRACEPARENT", &other)]);
}

#[test]
fn a_traceparent_by_another_name_is_none() {
    for name in ["trace-parent", "trace.parent", "traceparents"] {
        begins_anew(&[(name, GOOD)]);
    }
}

#[test]
fn the_case_of_traceparent_does_not_matter() {
    for name in ["TraceParent", "TrAcEpArEnT", "TRACEPARENT"] {
        goes_on(&[(name, GOOD)]);
    }
}

#[test]
fn a_tracestate_by_another_name_is_none() {
    for name in ["trace-state", "trace.state", "tracestates"] {
        assert_eq!(goes_on(&[("traceparent", GOOD), (name, "foo=1")]).state, None);
    }
}

#[test]
fn the_case_of_tracestate_does_not_matter() {
    for name in ["TraceState", "TrAcEsTaTe", "TRACESTATE"] {
        assert_eq!(goes_on(&[("traceparent", GOOD), (name, "foo=1")]).state.as_deref(), Some("foo=1"));
    }
}

// traceparent: the version.

#[test]
fn version_00_ends_with_the_flags() {
    for tail in [".", "-", "-what-comes-later"] {
        parent_begins_anew(&format!("{GOOD}{tail}"));
    }
}

#[test]
fn a_later_version_is_read_as_far_as_it_is_known() {
    goes_on(&[("traceparent", &format!("cc-{TRACE}-{SPAN}-01"))]);
    goes_on(&[("traceparent", &format!("cc-{TRACE}-{SPAN}-01-what-comes-later"))]);
    goes_on(&[("traceparent", &format!("01-{TRACE}-{SPAN}-01-"))]);
    parent_begins_anew(&format!("cc-{TRACE}-{SPAN}-01.what-comes-later"));
}

#[test]
fn version_ff_is_forbidden() {
    parent_begins_anew(&format!("ff-{TRACE}-{SPAN}-01"));
}

#[test]
fn a_version_that_is_no_hex_is_refused() {
    for version in [".0", "0.", "0x", "CC", "  "] {
        parent_begins_anew(&format!("{version}-{TRACE}-{SPAN}-01"));
    }
}

#[test]
fn a_long_version_is_refused() {
    for version in ["000", "0000"] {
        parent_begins_anew(&format!("{version}-{TRACE}-{SPAN}-01"));
    }
}

#[test]
fn a_short_version_is_refused() {
    for version in ["0", ""] {
        parent_begins_anew(&format!("{version}-{TRACE}-{SPAN}-01"));
    }
}

// traceparent: the trace id.

#[test]
fn a_trace_id_of_zeros_is_refused() {
    parent_begins_anew(&format!("00-{}-{SPAN}-01", "0".repeat(32)));
}

#[test]
fn a_trace_id_that_is_no_hex_is_refused() {
    for id in [format!(".{}", &TRACE[1..]), format!("{}.", &TRACE[..31]), TRACE.to_uppercase()] {
        parent_begins_anew(&format!("00-{id}-{SPAN}-01"));
    }
}

#[test]
fn a_long_trace_id_is_refused() {
    parent_begins_anew(&format!("00-{TRACE}0-{SPAN}-01"));
}

#[test]
fn a_short_trace_id_is_refused() {
    parent_begins_anew(&format!("00-{}-{SPAN}-01", &TRACE[..31]));
}

// traceparent: the parent id.

#[test]
fn a_parent_id_of_zeros_is_refused() {
    parent_begins_anew(&format!("00-{TRACE}-{}-01", "0".repeat(16)));
}

#[test]
fn a_parent_id_that_is_no_hex_is_refused() {
    for id in [format!(".{}", &SPAN[1..]), format!("{}.", &SPAN[..15]), SPAN.to_uppercase()] {
        parent_begins_anew(&format!("00-{TRACE}-{id}-01"));
    }
}

#[test]
fn a_long_parent_id_is_refused() {
    parent_begins_anew(&format!("00-{TRACE}-{SPAN}0-01"));
}

#[test]
fn a_short_parent_id_is_refused() {
    parent_begins_anew(&format!("00-{TRACE}-{}-01", &SPAN[..15]));
}

// traceparent: flags and blanks.

#[test]
fn flags_that_are_no_hex_are_refused() {
    for flags in [".0", "0.", "0A"] {
        parent_begins_anew(&format!("00-{TRACE}-{SPAN}-{flags}"));
    }
}

#[test]
fn long_flags_are_refused() {
    parent_begins_anew(&format!("00-{TRACE}-{SPAN}-001"));
}

#[test]
fn short_flags_are_refused() {
    for flags in ["1", ""] {
        parent_begins_anew(&format!("00-{TRACE}-{SPAN}-{flags}"));
    }
}

/// A span that is not recorded has no id of its own: the parent id of an unsampled trace is passed on.
#[test]
fn the_random_flag_is_passed_on_and_unknown_flags_are_not() {
    for (came, goes) in [("00", "00"), ("01", "01"), ("02", "02"), ("03", "03"), ("ff", "03"), ("fc", "00")] {
        let sent = request(&[("traceparent", &format!("00-{TRACE}-{SPAN}-{came}"))], 1).remove(0);
        assert_eq!((sent.trace.as_str(), sent.flags.as_str()), (TRACE, goes), "{came}");
    }
}

#[test]
fn blanks_round_a_traceparent_do_not_matter() {
    for (before, after) in [(" ", ""), ("\t", ""), ("", " "), ("", "\t"), ("\t ", " \t")] {
        goes_on(&[("traceparent", &format!("{before}{GOOD}{after}"))]);
    }
}

// tracestate.

#[test]
fn an_empty_tracestate_is_left_out() {
    assert_eq!(state(&[""]), None);
    assert_eq!(state(&["foo=1", ""]).as_deref(), Some("foo=1"));
    assert_eq!(state(&["", "foo=1"]).as_deref(), Some("foo=1"));
}

#[test]
fn several_tracestates_are_one_list_in_order() {
    let joined = state(&["foo=1,bar=2", "rojo=1,congo=2", "baz=3"]);
    assert_eq!(joined.as_deref(), Some("foo=1,bar=2,rojo=1,congo=2,baz=3"));
}

#[test]
fn a_repeated_key_costs_neither_the_trace_nor_the_others() {
    for values in [&["foo=1,foo=2"][..], &["foo=1", "foo=2"], &["foo=1,bar=3,foo=2"]] {
        let state = state(values).expect("passed on as it came");
        assert!(state.starts_with("foo=1,"), "{state}");
    }
}

#[test]
fn every_legal_character_is_passed_on() {
    let value: String = (' '..='~').filter(|c| !",=".contains(*c)).collect();
    kept(&format!("abcdefghijklmnopqrstuvwxyz0123456789_-*/={value}"));
    kept(&format!("0a_-*/@b-c={value}"));
}

#[test]
fn blanks_round_members_do_not_matter() {
    for value in ["foo=1 \t , \t bar=2, \t baz=3", "foo=1\t \t,\t \tbar=2,\t \tbaz=3"] {
        assert_eq!(state(&[value]).as_deref(), Some("foo=1,bar=2,baz=3"));
    }
    for value in [" foo=1", "\tfoo=1", "foo=1 ", "foo=1\t", "\t foo=1 \t"] {
        assert_eq!(state(&[value]).as_deref(), Some("foo=1"), "{value:?}");
    }
}

#[test]
fn an_illegal_character_in_a_key_drops_the_list() {
    for value in ["foo =1,bar=2", "FOO=1", "foo.bar=1", "f\u{f6}o=1", "_foo=1"] {
        dropped(value);
    }
}

/// Level 2 gives the sign no meaning; at the beginning it is illegal as before.
#[test]
fn an_at_sign_may_stand_anywhere_but_first_in_a_key() {
    for value in ["foo@=1,bar=2", "foo@@bar=1,bar=2", "foo@bar@baz=1,bar=2"] {
        kept(value);
    }
    dropped("@foo=1,bar=2");
}

#[test]
fn a_list_has_32_members_at_most() {
    let members = |range: std::ops::RangeInclusive<u32>| {
        range.map(|number| format!("k{number:02}={number}")).collect::<Vec<_>>().join(",")
    };
    let (first, rest) = (members(1..=20), members(21..=32));
    assert_eq!(state(&[&first, &rest]), Some(members(1..=32)));
    assert_eq!(state(&[&first, &members(21..=33)]), None);
}

#[test]
fn a_key_has_256_characters_at_most() {
    let at_most = [format!("{}=1", "z".repeat(256)), format!("{}@{}=1", "t".repeat(241), "v".repeat(14))];
    for value in at_most {
        assert_eq!(state(&["foo=1", &value]), Some(format!("foo=1,{value}")));
    }
    assert_eq!(state(&["foo=1", &format!("{}=1", "z".repeat(257))]), None);
}

#[test]
fn an_illegal_value_drops_the_list() {
    for value in ["foo=bar=baz", "foo=,bar=3", "foo", "foo=1,bar", "foo=b\u{e4}r"] {
        dropped(value);
    }
    dropped(&format!("foo={}", "v".repeat(257)));
}
