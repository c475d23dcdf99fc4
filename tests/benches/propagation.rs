//! Inject and extract against the SDK's propagator, over the same carriers, in one run.
//!
//! `cargo bench -p throughline-tests --bench propagation`. Wanted: inject at most 0.25 of the SDK's time, extract at most
//! 0.35. Each figure is the best of several rounds that alternate between the two, so that a busy machine hits both.

mod counting;

use std::collections::HashMap;
use std::hint::black_box;
use std::time::Instant;

use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState};
use opentelemetry::{Context, global};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use throughline::propagation::{Duplicates, Propagator, codec};

#[global_allocator]
static ALLOCATOR: counting::Counting = counting::Counting;

const ROUNDS: usize = 15;
const CALLS: u32 = 100_000;

type Headers = Vec<(String, Vec<u8>)>;

/// A header list as people write it for the SDK: what `rdkafka` users have in their code bases.
struct Stock<'h>(&'h mut Headers);

impl Injector for Stock<'_> {
    fn set(&mut self, key: &str, value: String) {
        self.0.push((key.to_owned(), value.into_bytes()));
    }
}

struct StockView<'h>(&'h Headers);

impl Extractor for StockView<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        let found = self.0.iter().find(|(name, _)| name.eq_ignore_ascii_case(key));
        found.and_then(|(_, value)| str::from_utf8(value).ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| name.as_str()).collect()
    }
}

/// Nanoseconds and allocations of one call.
fn once(work: &mut dyn FnMut()) -> (f64, f64) {
    let (allocations, start) = (counting::on_this_thread().0, Instant::now());
    for _ in 0..CALLS {
        work();
    }
    let elapsed = start.elapsed().as_secs_f64() * 1e9;
    (elapsed / f64::from(CALLS), (counting::on_this_thread().0 - allocations) as f64 / f64::from(CALLS))
}

fn compare(what: &str, wanted: Option<f64>, mut stock: impl FnMut(), mut ours: impl FnMut()) {
    let (mut best_stock, mut best_ours) = ((f64::MAX, 0.0), (f64::MAX, 0.0));
    for _ in 0..ROUNDS {
        let (stock, ours) = (once(&mut stock), once(&mut ours));
        best_stock = if stock.0 < best_stock.0 { stock } else { best_stock };
        best_ours = if ours.0 < best_ours.0 { ours } else { best_ours };
    }
    let ratio = best_ours.0 / best_stock.0;
    let wanted = wanted.map_or_else(String::new, |wanted| {
        format!("  wanted {wanted:.2}{}", if ratio <= wanted { "" } else { "  MISSED" })
    });
    println!(
        "{what:<44} {:>8.1} {:>7.1} {:>6.2}x {:>8.1} {:>6.1}{wanted}",
        best_stock.0, best_ours.0, ratio, best_stock.1, best_ours.1
    );
}

fn context(state: &str) -> Context {
    let state = state.parse::<TraceState>().unwrap_or_default();
    let (trace, span) = (0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c_u128, 0xb7ad_6b71_6920_3331_u64);
    Context::new().with_remote_span_context(SpanContext::new(
        TraceId::from(trace),
        SpanId::from(span),
        TraceFlags::SAMPLED,
        false,
        state,
    ))
}

fn main() {
    let stock = TraceContextPropagator::new();
    global::set_text_map_propagator(Propagator::default());
    println!("{:<44} {:>8} {:>7} {:>7} {:>8} {:>6}", "", "SDK ns", "our ns", "ratio", "SDK all.", "ours");

    for (with, state) in [("", ""), (", tracestate of 2", "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7")] {
        let cx = context(state);
        let wanted = |limit| state.is_empty().then_some(limit);

        let (mut theirs, mut ours) = (Headers::new(), Headers::new());
        compare(
            &format!("inject, empty header list{with}"),
            wanted(0.25),
            || {
                theirs.clear();
                stock.inject_context(&cx, &mut Stock(&mut theirs));
                black_box(&theirs);
            },
            || {
                ours.clear();
                codec::inject(&cx, &mut ours);
                black_box(&ours);
            },
        );
        let (mut theirs, mut ours) = (Headers::new(), Headers::new());
        compare(
            &format!("inject through the global propagator{with}"),
            None,
            || {
                theirs.clear();
                stock.inject_context(&cx, &mut Stock(&mut theirs));
                black_box(&theirs);
            },
            || {
                ours.clear();
                throughline::inject_context(&cx, &mut ours);
                black_box(&ours);
            },
        );
        let (mut theirs, mut ours) = (HashMap::<String, String>::new(), HashMap::<String, String>::new());
        compare(
            &format!("inject, HashMap<String, String>{with}"),
            None,
            || {
                theirs.clear();
                stock.inject_context(&cx, &mut theirs);
                black_box(&theirs);
            },
            || {
                ours.clear();
                codec::inject(&cx, &mut ours);
                black_box(&ours);
            },
        );

        let mut headers: Headers = (0..3).map(|n| (format!("x-header-{n}"), b"value".to_vec())).collect();
        codec::inject(&cx, &mut headers);
        compare(
            &format!("extract, list of {}{with}", headers.len()),
            wanted(0.35),
            || drop(black_box(stock.extract_with_context(&Context::new(), &StockView(black_box(&headers))))),
            || drop(black_box(codec::extract(&Context::new(), black_box(&headers), Duplicates::Last))),
        );
        compare(
            &format!("extract through the global propagator{with}"),
            None,
            || drop(black_box(stock.extract_with_context(&Context::new(), &StockView(black_box(&headers))))),
            || drop(black_box(throughline::extract_trace_context(black_box(&headers)))),
        );
        let map: HashMap<String, String> =
            headers.iter().map(|(k, v)| (k.clone(), String::from_utf8_lossy(v).into_owned())).collect();
        compare(
            &format!("extract, HashMap<String, String>{with}"),
            None,
            || drop(black_box(stock.extract_with_context(&Context::new(), black_box(&map)))),
            || drop(black_box(codec::extract(&Context::new(), black_box(&map), Duplicates::Last))),
        );
    }
}
