//! `traceparent`: any bytes, judged by a second, slower parser.
#![no_main]

use libfuzzer_sys::fuzz_target;
use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt as _;
use throughline::propagation::{Duplicates, codec};

/// The grammar of the specification, byte by byte.
fn slow(value: &[u8]) -> Option<(u128, u64, u8)> {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = value.iter().position(|byte| !blank(byte))?;
    let end = value.iter().rposition(|byte| !blank(byte))?;
    let value = &value[start..=end];
    let number = |from: usize, to: usize| {
        value.get(from..to)?.iter().try_fold(0_u128, |number, byte| match byte {
            b'0'..=b'9' => Some(number << 4 | u128::from(byte - b'0')),
            b'a'..=b'f' => Some(number << 4 | u128::from(byte - b'a' + 10)),
            _ => None,
        })
    };
    let dash = |at: usize| (value.get(at) == Some(&b'-')).then_some(());
    let version = number(0, 2)?;
    dash(2)?;
    let trace = number(3, 35)?;
    dash(35)?;
    let span = number(36, 52)?;
    dash(52)?;
    let flags = number(53, 55)?;
    let tail = match value.get(55) {
        None => version != 0xff,
        Some(byte) => version != 0 && version != 0xff && *byte == b'-',
    };
    (tail && trace != 0 && span != 0)
        .then(|| (trace, u64::try_from(span).expect("16 digits"), u8::try_from(flags).expect("2 digits") & 3))
}

fuzz_target!(|value: &[u8]| {
    let parsed = codec::parse_traceparent(value);
    assert_eq!(parsed, slow(value));

    let carrier = vec![("traceparent".to_owned(), value.to_vec())];
    for duplicates in [Duplicates::Last, Duplicates::Reject] {
        let cx = codec::extract(&Context::new(), &carrier, duplicates);
        let span = cx.span().span_context().clone();
        assert_eq!(span.is_valid(), parsed.is_some() && value.len() <= 512);
        let mut next = carrier.clone();
        codec::inject(&cx, &mut next);
        if span.is_valid() {
            assert_eq!(next.len(), 1);
            assert_eq!(codec::parse_traceparent(&next[0].1), parsed);
        } else {
            assert_eq!(next, carrier);
        }
    }
});
