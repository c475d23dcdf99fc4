//! What to look at: one tree out of three ways to make spans. A program that has used OpenTelemetry and `tracing` for
//! years takes up `#[traced_span]` function by function: each finds the others' spans as parent, and the log lines of all of
//! them carry the same trace_id.
//!
//! ```sh
//! cargo run --example existing_code
//! ```

use std::thread;
use std::time::Duration;

use opentelemetry::trace::{TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue, global};
use throughline::{setup_tracing, traced_span};
use throughline_examples::say;

/// Old code, by OpenTelemetry's own API.
fn handle_order(id: u64) {
    let tracer = global::tracer("shop");
    tracer.in_span("shop.handle_order", |cx| {
        cx.span().set_attribute(KeyValue::new("order.id", i64::try_from(id).unwrap_or(i64::MAX)));
        if check_stock(id, 3) {
            charge(id);
        }
    });
}

/// New code: the attribute takes the span above as its parent and is the parent of what follows.
#[traced_span("stock.check", fields(order.id = id, quantity))]
fn check_stock(id: u64, quantity: u32) -> bool {
    tracing::info!(quantity, "checking stock");
    query_shelf("A-17") >= quantity
}

/// Old code, by `tracing`.
#[tracing::instrument(fields(shelf = shelf))]
fn query_shelf(shelf: &str) -> u32 {
    tracing::info!("counting");
    weigh(shelf)
}

/// New code again, below `tracing`.
#[traced_span("scale.weigh")]
fn weigh(shelf: &str) -> u32 {
    // Whoever holds OpenTelemetry's Context writes to this very span.
    Context::current().span().set_attribute(KeyValue::new("shelf", shelf.to_owned()));
    5
}

/// New code that hands its Context to another thread, where old code goes on.
#[traced_span("payment.charge", fields(order.id = id))]
fn charge(id: u64) {
    let here = Context::current();
    let receipt = thread::spawn(move || {
        let _inside = here.attach();
        let span = tracing::info_span!("print_receipt", order = id);
        span.in_scope(|| tracing::info!("printing"));
    });
    let _ = receipt.join();
}

fn main() -> Result<(), throughline::SetupError> {
    let telemetry = setup_tracing("shop")?;
    handle_order(4711);
    let report = telemetry.shutdown(Duration::from_secs(5));
    say(report);
    Ok(())
}
