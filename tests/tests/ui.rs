//! What compiles and what does not, with the messages. Blessed on the pinned compiler only: the wording of its own
//! errors, and where it points, change between versions.

#[rustversion::attr(
    not(all(stable, since(1.95), before(1.96))),
    ignore = "messages are blessed on the pinned compiler"
)]
#[test]
fn ui() {
    let cases = trybuild::TestCases::new();
    for name in [
        "traced_span",
        "span",
        "record",
        "kafka_consumer",
        "kafka_handler",
        "kafka_message",
        "kafka_producer",
        "trace_context",
    ] {
        cases.pass(format!("ui/{name}/pass/*.rs"));
        cases.compile_fail(format!("ui/{name}/fail/*.rs"));
    }
}
