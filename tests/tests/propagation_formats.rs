//! B3 and Jaeger formats, carriers, and propagators of other people. Sets the global propagator of this process, once.

use std::collections::HashMap;

use http::HeaderMap;
use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState};
use opentelemetry::{Context, global};
use throughline::propagation::{Duplicates, Format, Propagator, Refusal, codec, refused};

const TRACE: u128 = 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c;
const SPAN: u64 = 0xb7ad_6b71_6920_3331;

fn context(flags: TraceFlags) -> Context {
    let span = SpanContext::new(TraceId::from(TRACE), SpanId::from(SPAN), flags, false, TraceState::NONE);
    Context::new().with_remote_span_context(span)
}

fn written(format: Format, flags: TraceFlags) -> Vec<(String, String)> {
    let mut carrier = HashMap::new();
    Propagator::new([format]).inject_context(&context(flags), &mut carrier);
    let mut list: Vec<_> = carrier.into_iter().collect();
    list.sort();
    list
}

fn read(format: Format, pairs: &[(&str, &str)]) -> Option<(u128, u64, bool)> {
    let carrier: HashMap<String, String> =
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let cx = Propagator::new([format]).extract_with_context(&Context::new(), &carrier);
    let span = cx.span().span_context().clone();
    span.is_valid().then(|| {
        let trace = u128::from_be_bytes(span.trace_id().to_bytes());
        (trace, u64::from_be_bytes(span.span_id().to_bytes()), span.is_sampled())
    })
}

#[test]
fn b3_single() {
    let text = "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1";
    assert_eq!(written(Format::B3, TraceFlags::SAMPLED), [("b3".to_owned(), text.to_owned())]);
    let sampled = Some((TRACE, SPAN, true));
    let unsampled = Some((TRACE, SPAN, false));
    for (value, expected) in [
        (text, sampled),
        ("0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-d", sampled),
        ("0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0", unsampled),
        ("0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331", unsampled),
        ("0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1-05e3ac9a4f6e3b90", sampled),
        ("8448eb211c80319c-b7ad6b7169203331-1", Some((0x8448_eb21_1c80_319c, SPAN, true))),
        ("0", None),
        ("d", None),
        ("", None),
        ("0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-2", None),
        ("0af7651916cd43dd8448eb211c80319c-b7ad6b716920333-1", None),
        ("+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1", None),
        ("00000000000000000000000000000000-b7ad6b7169203331-1", None),
        ("0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1-05e3ac9a4f6e3b90-x", None),
    ] {
        assert_eq!(read(Format::B3, &[("b3", value)]), expected, "{value:?}");
    }
}

#[test]
fn b3_multi_and_each_reads_the_other() {
    let list = written(Format::B3Multi, TraceFlags::SAMPLED);
    let pairs: Vec<(&str, &str)> = list.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(
        pairs,
        [
            ("x-b3-sampled", "1"),
            ("x-b3-spanid", "b7ad6b7169203331"),
            ("x-b3-traceid", "0af7651916cd43dd8448eb211c80319c"),
        ]
    );
    assert_eq!(read(Format::B3Multi, &pairs), Some((TRACE, SPAN, true)));
    assert_eq!(read(Format::B3, &pairs), Some((TRACE, SPAN, true)));
    assert_eq!(
        read(Format::B3Multi, &[pairs[1], pairs[2], ("x-b3-sampled", "0"), ("x-b3-flags", "1")]),
        Some((TRACE, SPAN, true)),
        "debug implies accept"
    );
    assert_eq!(read(Format::B3Multi, &[pairs[2]]), None, "a trace id alone is no context");
}

#[test]
fn jaeger() {
    let text = "0af7651916cd43dd8448eb211c80319c:b7ad6b7169203331:0:1";
    assert_eq!(written(Format::Jaeger, TraceFlags::SAMPLED), [("uber-trace-id".to_owned(), text.to_owned())]);
    for (value, expected) in [
        (text, Some((TRACE, SPAN, true))),
        ("0af7651916cd43dd8448eb211c80319c%3Ab7ad6b7169203331%3A0%3A0", Some((TRACE, SPAN, false))),
        ("af7651916cd43dd8448eb211c80319c:1::3", Some((TRACE, 1, true))),
        ("0af7651916cd43dd8448eb211c80319c:b7ad6b7169203331:0", None),
        ("0:b7ad6b7169203331:0:1", None),
        ("00af7651916cd43dd8448eb211c80319c0:b7ad6b7169203331:0:1", None),
        (":::", None),
        ("a:b:c:d:e", None),
    ] {
        assert_eq!(read(Format::Jaeger, &[("uber-trace-id", value)]), expected, "{value:?}");
    }
}

/// kafka.md T-14.
#[test]
fn several_formats_are_all_written_and_the_last_one_wins() {
    let both = Propagator::new([Format::TraceContext, Format::B3, Format::TraceContext]);
    assert_eq!(both.formats(), [Format::TraceContext, Format::B3]);
    let mut carrier = HashMap::new();
    both.inject_context(&context(TraceFlags::SAMPLED), &mut carrier);
    assert!(carrier.contains_key("traceparent") && carrier.contains_key("b3"));
    carrier.insert("b3".to_owned(), "8448eb211c80319c-b7ad6b7169203331-1".to_owned());
    let cx = both.extract_with_context(&Context::new(), &carrier);
    assert_eq!(cx.span().span_context().trace_id(), TraceId::from(0x8448_eb21_1c80_319c_u128));
    carrier.insert("b3".to_owned(), "garbage".to_owned());
    let cx = both.extract_with_context(&Context::new(), &carrier);
    assert_eq!(cx.span().span_context().trace_id(), TraceId::from(TRACE));
}

#[test]
fn unknown_names_list_the_known_ones() {
    assert_eq!("B3Multi".parse(), Ok(Format::B3Multi));
    assert_eq!(
        "tracecontxt".parse::<Format>().unwrap_err().to_string(),
        "unknown propagator `tracecontxt`; expected `tracecontext`, `baggage`, `b3`, `b3multi`, `jaeger` or `none`"
    );
}

#[test]
fn http_header_map_keeps_the_order_of_repeated_values() {
    let mut map = HeaderMap::new();
    map.append("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse().unwrap());
    map.append("accept", "a".parse().unwrap());
    map.append("tracestate", "a=1".parse().unwrap());
    map.append("x", "\u{e9}".parse().unwrap());
    map.append("tracestate", "b=2".parse().unwrap());
    map.append("tracestate", "c=3".parse().unwrap());
    let cx = codec::extract(&Context::new(), &map, Duplicates::Last);
    assert_eq!(cx.span().span_context().trace_state().header(), "a=1,b=2,c=3");
    codec::inject(&cx, &mut map);
    assert_eq!(map.get_all("tracestate").iter().collect::<Vec<_>>(), ["a=1,b=2,c=3"]);
    assert_eq!(map.get_all("traceparent").iter().count(), 1);
    assert_eq!(map.get("accept").unwrap(), "a");
}

/// kafka.md T-11.
#[test]
fn refusals_are_counted_by_reason() {
    let before = refused().count(Refusal::Traceparent);
    let bad = vec![("traceparent".to_owned(), b"garbage".to_vec())];
    codec::extract(&Context::new(), &bad, Duplicates::Last);
    assert!(refused().count(Refusal::Traceparent) > before);
    assert!(refused().iter().any(|(reason, count)| reason.as_str() == "traceparent" && count > before));
}

/// A company's own format: one header, and it reads another that it does not write.
#[derive(Debug)]
struct Company(Vec<String>);

impl TextMapPropagator for Company {
    fn inject_context(&self, cx: &Context, injector: &mut dyn Injector) {
        injector.set("X-Company-Trace", cx.span().span_context().trace_id().to_string());
        injector.set("x-empty", String::new());
    }

    fn extract_with_context(&self, cx: &Context, extractor: &dyn Extractor) -> Context {
        assert_eq!(extractor.get_all("x-many"), Some(vec!["1", "2"]));
        assert_eq!(extractor.get("X-MANY"), Some("2"));
        let id = extractor.get("x-company-trace").and_then(|id| TraceId::from_hex(id).ok());
        let span = |id| SpanContext::new(id, SpanId::from(1), TraceFlags::SAMPLED, true, TraceState::NONE);
        id.map_or_else(|| cx.clone(), |id| cx.with_remote_span_context(span(id)))
    }

    fn fields(&self) -> FieldIter<'_> {
        FieldIter::new(&self.0)
    }
}

/// The global propagator is one per process, so its life is one test.
/// kafka.md T-14, T-15.
#[test]
fn the_global_propagator_decides() {
    let mut headers: Vec<(String, Option<Vec<u8>>)> = vec![("X-MANY".to_owned(), Some(b"1".to_vec()))];
    throughline::inject_context(&context(TraceFlags::SAMPLED), &mut headers);
    assert_eq!(headers.len(), 1, "no propagator, nothing written");

    global::set_text_map_propagator(opentelemetry_sdk::propagation::TraceContextPropagator::new());
    throughline::inject_context(&context(TraceFlags::NOT_SAMPLED), &mut headers);
    assert_eq!(headers[1].0, "traceparent");
    assert!(
        headers[1].1.as_deref().is_some_and(|value| value.ends_with(b"-00")),
        "unsampled is written, too"
    );
    assert_eq!(headers.len(), 2, "no empty tracestate, unlike the stock propagator");

    global::set_text_map_propagator(Company(vec!["x-company-trace".to_owned()]));
    headers.extend([
        ("x-company-TRACE".to_owned(), Some(b"stale".to_vec())),
        ("x-many".to_owned(), Some(b"2".to_vec())),
        ("x-many".to_owned(), None),
        ("x-company-trace".to_owned(), Some(vec![0xff])),
    ]);
    throughline::inject_context(&context(TraceFlags::SAMPLED), &mut headers);
    let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["X-MANY", "traceparent", "x-many", "x-many", "x-company-trace"]);
    let cx = throughline::extract_trace_context(&headers);
    assert_eq!(cx.span().span_context().trace_id(), TraceId::from(TRACE));

    global::set_text_map_propagator(Propagator::new([Format::B3, Format::Baggage]));
    let mut headers = vec![("X-B3-TraceId".to_owned(), "stale".to_owned())];
    throughline::inject_context(&context(TraceFlags::SAMPLED), &mut headers);
    assert_eq!(headers.len(), 1);
    assert_eq!(headers[0].0, "b3");
    assert!(throughline::extract_trace_context(&headers).span().span_context().is_sampled());
}
