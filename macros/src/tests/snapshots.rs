//! A few expansions as they are, to be read in a review. `UPDATE_EXPECT=1 cargo test -p throughline-macros` writes them.
#![cfg(feature = "enable")]

use super::tokens;
use expect_test::{ExpectFile, expect_file};
use proc_macro2::TokenStream;

fn check(expansion: &TokenStream, expected: &ExpectFile) {
    let text = match syn::parse2::<syn::File>(expansion.clone()) {
        Ok(file) => prettyplease::unparse(&file),
        // An unfinished body cannot be formatted; its tokens are what counts.
        Err(_) => format!("{expansion}\n"),
    };
    expected.assert_eq(&text);
}

fn traced_span(args: &str, item: &str, expected: &ExpectFile) {
    check(&crate::attribute::traced_span(tokens(args), tokens(item)), expected);
}

#[test]
fn guard() {
    traced_span("", "fn load(id: u64) { body(id) }", &expect_file!["../../snapshots/guard.rs"]);
}

#[test]
fn closure() {
    let item = "pub fn load(&self, id: u64, kind: &'static str) -> Result<impl Iterator, Error> { body(id)?; Ok(1) }";
    let args = "\"orders.load\", kind = client, fields(id, kind, %name = self.name, { KEY } = 1 + 1)";
    let args = args.replace("%name = self.name", "name = %self.name");
    traced_span(&args, item, &expect_file!["../../snapshots/closure.rs"]);
}

#[test]
fn async_fn() {
    let item = "async fn load<'a, T: Load>(from: &'a T) -> Result<&'a str, Error> { from.load().await }";
    traced_span("err = classify", item, &expect_file!["../../snapshots/async_fn.rs"]);
}

#[test]
fn boxed_future() {
    let item = "fn load(id: u64) -> Pin<Box<dyn Future<Output = u64> + Send>> { let n = id; Box::pin(async move { n }) }";
    traced_span(
        "name = format!(\"load.{id}\"), root",
        item,
        &expect_file!["../../snapshots/boxed_future.rs"],
    );
}

#[test]
fn stream() {
    traced_span(
        "",
        "fn load() -> impl Stream<Item = u8> { iter(0..3) }",
        &expect_file!["../../snapshots/stream.rs"],
    );
}

#[test]
fn unfinished_body() {
    traced_span(
        "",
        "fn load(order: Order) -> u64 { order. }",
        &expect_file!["../../snapshots/unfinished_body.txt"],
    );
}

#[test]
fn kafka_consumer() {
    let args = "group = \"billing\", key = off, headers(\"x-flow\"), fields(attempt)";
    let item =
        "async fn handle(#[message] order: M, attempt: u8) -> Result<(), Error> { store(order).await }";
    let expansion = crate::attribute::kafka_consumer(tokens(args), tokens(item));
    check(&expansion, &expect_file!["../../snapshots/kafka_consumer.rs"]);
}

#[test]
fn kafka_producer() {
    let expand = |args: &str, item: &str| crate::attribute::kafka_producer(tokens(args), tokens(item));
    let send = expand(
        "topic = \"orders\", existing = keep, fields(attempt)",
        "async fn send(producer: &FutureProducer, record: FutureRecord<'_, K, P>, attempt: u8) -> OwnedDeliveryResult { \
         producer.send(record, WAIT).await }",
    );
    check(&send, &expect_file!["../../snapshots/kafka_producer_send.rs"]);
    let create = expand("", "fn build(&self, id: u64) -> Result<Record, Error> { Record::of(id) }");
    check(&create, &expect_file!["../../snapshots/kafka_producer_create.rs"]);
}

#[test]
fn kafka_run() {
    let args = "topic = \"orders\", group = GROUP, context = link, fields(order.id = order.id), \
                run(concurrency = by_key(64), retry(attempts = 5, when = Error::is_transient), dead_letter = \"dlq\")";
    let expansion = crate::attribute::kafka_consumer(
        tokens(args),
        tokens("pub(crate) fn handle(order: Order) { store(order) }"),
    );
    check(&expansion, &expect_file!["../../snapshots/kafka_run.rs"]);
}

/// A macro in expression position, as the tail of a function, so that it can be formatted.
fn as_function(expression: &TokenStream) -> TokenStream {
    quote::quote!(fn expression() { #expression })
}

#[test]
fn inline_spans() {
    let span = |input: &str| as_function(&crate::inline::span(tokens(input)));
    check(&span("\"scan\""), &expect_file!["../../snapshots/span_guard.rs"]);
    check(&span("\"load\", fields(n), || n + 1"), &expect_file!["../../snapshots/span_closure.rs"]);
    check(&span("\"fetch\", kind = client, client.call(x)"), &expect_file!["../../snapshots/span_future.rs"]);
    let record = crate::inline::record(tokens("id, %x, \"a.b\" = \"text\""));
    check(&as_function(&record), &expect_file!["../../snapshots/record.rs"]);
}

#[test]
fn trace_context() {
    let item = "struct Order<T> where T: Copy { #[trace(traceparent)] parent: Option<String>, \
                #[trace(baggage)] baggage: Option<String>, payload: T }";
    check(&crate::derive::trace_context(tokens(item)), &expect_file!["../../snapshots/trace_context.rs"]);
}

#[test]
fn kafka_message() {
    let item = "#[kafka(topic = \"orders\", event = \"order.placed\", version = 2)] \
                struct OrderPlaced<T> where T: Serialize + DeserializeOwned { #[kafka(key)] order_id: OrderId, \
                #[kafka(header = \"x-tenant\", with = hex)] tenant: Vec<Tenant>, \
                #[kafka(header = \"x-plan\", baggage)] plan: Option<String>, #[kafka(timestamp)] at: SystemTime, \
                #[kafka(trace)] trace: CreationContext, #[kafka(headers)] rest: Headers, \
                #[serde(rename = \"value\")] amount: T }";
    check(
        &crate::kafka_message::kafka_message(tokens(item)),
        &expect_file!["../../snapshots/kafka_message.rs"],
    );
    let item = "#[kafka(topic = TOPIC, codec = Raw)] struct Blob { #[kafka(payload)] data: Option<Vec<u8>> }";
    check(
        &crate::kafka_message::kafka_message(tokens(item)),
        &expect_file!["../../snapshots/kafka_message_payload.rs"],
    );
}
