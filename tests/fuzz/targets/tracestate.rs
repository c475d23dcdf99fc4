//! Several `tracestate` headers: the trace is kept, what is passed on is within the limits and passes again unchanged.
#![no_main]

use libfuzzer_sys::fuzz_target;
use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt as _;
use throughline::propagation::{Duplicates, codec};

type Carrier = Vec<(String, Vec<u8>)>;

fn forward(carrier: &Carrier) -> Option<Vec<u8>> {
    let cx = codec::extract(&Context::new(), carrier, Duplicates::Last);
    assert!(cx.span().span_context().is_valid(), "a bad tracestate costs no trace");
    let mut next = Carrier::new();
    codec::inject(&cx, &mut next);
    assert_eq!(next[0].0, "traceparent");
    assert!(next.len() <= 2);
    next.pop().filter(|(name, _)| name == "tracestate").map(|(_, value)| value)
}

fn carrier<'a>(values: impl Iterator<Item = &'a [u8]>) -> Carrier {
    let parent = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_vec();
    let states = values.map(|value| ("tracestate".to_owned(), value.to_vec()));
    std::iter::once(("traceparent".to_owned(), parent)).chain(states).collect()
}

fuzz_target!(|input: &[u8]| {
    if let Some(state) = forward(&carrier(throughline_fuzz::parts(input))) {
        assert!(!state.is_empty() && state.len() <= 8_192);
        assert!(state.split(|byte| *byte == b',').count() <= 32);
        assert!(state.iter().all(|byte| (0x20..0x7f).contains(byte)));
        assert_eq!(forward(&carrier([state.as_slice()].into_iter())), Some(state));
    }
});
