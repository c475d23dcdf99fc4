//! Several `baggage` headers: what was understood is written so that it is understood again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt as _;
use throughline::propagation::{Duplicates, codec};

type Carrier = Vec<(String, Vec<u8>)>;

fn read(carrier: &Carrier) -> Context {
    codec::extract(&Context::new(), carrier, Duplicates::Last)
}

fn entries(cx: &Context) -> Vec<(String, String, String)> {
    let entry = |(key, (value, properties)): (&opentelemetry::Key, &(opentelemetry::StringValue, _))| {
        let properties: &opentelemetry::baggage::BaggageMetadata = properties;
        (key.to_string(), value.to_string(), properties.as_str().to_owned())
    };
    let mut entries: Vec<_> = cx.baggage().iter().map(entry).collect();
    entries.sort();
    entries
}

fuzz_target!(|input: &[u8]| {
    let carrier: Carrier =
        throughline_fuzz::parts(input).map(|value| ("baggage".to_owned(), value.to_vec())).collect();
    let cx = read(&carrier);
    let understood = entries(&cx);
    assert!(understood.len() <= 64);
    let mut next = Carrier::new();
    codec::inject(&cx, &mut next);
    assert!(next.len() <= 1);
    let written = next.first().map_or(0, |(_, value)| value.len());
    // Encoding a value may take it over the limit, above which it is dropped.
    if written <= 8_192 {
        assert_eq!(entries(&read(&next)), understood);
    }
});
