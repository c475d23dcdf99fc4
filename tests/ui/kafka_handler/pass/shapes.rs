//! Every shape of handler, and every word of `run(..)`.
#![deny(warnings, unused, missing_docs, unreachable_pub)]

use std::fmt;
use throughline::kafka::{Ack, Attempt, Consumer, Record, State};
use throughline::kafka_consumer;

#[derive(Debug)]
struct ChargeError;

impl fmt::Display for ChargeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no")
    }
}

impl ChargeError {
    fn is_transient(&self) -> bool {
        true
    }
}

const DEAD: &str = "orders.dlq";
const ATTEMPTS: u32 = 3;

#[kafka_consumer(
    "bill",
    topic = "orders",
    group = "billing",
    context = link,
    key = off,
    headers("x-tenant" = "app.tenant"),
    fields(attempt = attempt.number()),
    run(
        concurrency = by_key(64),
        max_in_flight = 2000,
        prefetch = 1024 * 1024,
        commit = tracked("1s", 500),
        retry(attempts = ATTEMPTS, initial = "100ms", factor = 2.0, max = "30s", jitter = on, when = ChargeError::is_transient),
        on_exhausted = dead_letter,
        on_decode_error = skip,
        on_panic = retry,
        batch(max = 500, wait = "100ms"),
        timeout = "30s",
        drain = "30s",
        retry_errors = every,
        settle_spans = off,
        dead_letter = DEAD,
        dlq_headers = spring,
        dead_letter_context = replace,
    )
)]
async fn charge(order: Record, attempt: Attempt) -> Result<(), ChargeError> {
    let _ = order;
    Ok(())
}

#[kafka_consumer(run(topics = ["a", "b"], group = "g", commit = manual, concurrency = sequential))]
fn acknowledge(order: Record, State(_state): State<u8>, ack: Ack) {
    let _ = order;
    ack.done();
}

#[kafka_consumer(run(pattern = "^orders-", group = "g", commit = per_record, concurrency = per_partition(2)))]
async fn all(orders: Vec<Record>) {
    let _ = orders;
}

fn main() {
    let _ = charge::consumer().start(charge);
    let _ = acknowledge::consumer().state(7).start(acknowledge);
    let _ = all::consumer().start(all);
    let _ = Consumer::new().start(|_: Record| async { Err::<(), _>(ChargeError) });
    let _ = Consumer::new().start(|_: Record| Err::<(), _>(ChargeError));
}
