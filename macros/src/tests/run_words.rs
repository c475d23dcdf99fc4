//! The mistakes of `run(..)`, and the words that are named in their place.

use super::{messages, tokens};

const HANDLER: &str = "async fn handle(order: Record) -> Result<(), Error> { Ok(()) }";

fn told(args: &str, item: &str) -> String {
    messages(&crate::attribute::kafka_consumer(tokens(args), tokens(item))).join("; ")
}

/// What is said about `run(..)` on a handler of `orders`.
fn of_run(run: &str) -> String {
    told(&format!("topic = \"orders\", run({run})"), HANDLER)
}

#[test]
fn every_word_is_accepted() {
    let all = "group = GROUP, topics = [\"a\"], concurrency = by_key(64), max_in_flight = 1, prefetch = 1024 * 8, \
               commit = tracked(\"1s\", 500), retry(attempts = 3, initial = \"1ms\", factor = 1.5, max = \"1m\", \
               jitter = off, when = Error::is_transient), on_exhausted = halt, on_decode_error = skip, \
               on_panic = stop, batch(max = 5, wait = \"1s\"), timeout = \"5s\", drain = \"1h\", \
               retry_errors = every, settle_spans = off, dead_letter = \"dlq\", dlq_headers = spring, \
               dead_letter_context = replace,";
    assert_eq!(told(&format!("run({all})"), HANDLER), "");
    for run in ["concurrency = sequential", "commit = per_record", "commit = manual", "pattern = \"^a\"", ""]
    {
        assert_eq!(of_run(run), "", "{run}");
    }
}

#[test]
fn unknown_words_are_answered_with_the_accepted_ones() {
    let words = of_run("groop = \"billing\"");
    assert!(
        words.starts_with("unknown argument `groop` (did you mean `group`?); expected `group`, `topics`, "),
        "{words}"
    );
    assert!(words.ends_with("`dead_letter`, `dlq_headers` or `dead_letter_context`"), "{words}");
    let retry = of_run("retry(tries = 5)");
    assert_eq!(
        retry,
        "unknown argument `tries`; expected `attempts`, `initial`, `factor`, `max`, `jitter` or `when`"
    );
    assert_eq!(of_run("batch(size = 5)"), "unknown argument `size`; expected `max` or `wait`");
}

#[test]
fn unknown_values_are_answered_with_the_accepted_ones() {
    for (run, expected) in [
        ("concurrency = per_topic(8)", "`per_partition(8)`, `by_key(64)` or `sequential`"),
        ("concurrency = by_key", "`per_partition(8)`, `by_key(64)` or `sequential`"),
        ("commit = auto", "`tracked(\"1s\", 500)`, `per_record` or `manual`"),
        ("commit = tracked(\"1s\")", "`tracked(\"1s\", 500)`, `per_record` or `manual`"),
        ("on_exhausted = drop", "`dead_letter`, `skip`, `halt` or `stop`"),
        ("on_decode_error = retry", "`dead_letter`, `skip`, `halt` or `stop`"),
        ("on_panic = abort", "`retry`, `dead_letter`, `skip`, `halt` or `stop`"),
        ("retry_errors = first", "`last` or `every`"),
        ("dlq_headers = kip", "`kip1191` or `spring`"),
        ("dead_letter_context = link", "`keep` or `replace`"),
        ("settle_spans = maybe", "`on` or `off`"),
    ] {
        let told = of_run(run);
        assert!(told.ends_with(&format!("expected {expected}")), "{run}: {told}");
    }
}

#[test]
fn advice_can_be_typed_in() {
    for (run, expected) in [
        ("timeout = 30", "`30` is no duration; write `\"100ms\"`, `\"30s\"`, `\"15m\"` or `\"1h\"`"),
        (
            "retry(initial = \"fast\")",
            "`\"fast\"` is no duration; write `\"100ms\"`, `\"30s\"`, `\"15m\"` or `\"1h\"`",
        ),
        ("retry = 5", "write `retry(attempts = 5)`"),
        ("batch()", "write `batch(max = 500, wait = \"100ms\")`"),
        ("\"billing\"", "`run(..)` has no name; remove `\"billing\"`"),
        ("group = \"a\", group = \"b\"", "`group` is given twice; keep one of them"),
        ("dead_letter = \"\"", "`dead_letter` is empty; remove it, or write what it is"),
    ] {
        assert_eq!(of_run(run), expected, "{run}");
    }
    assert!(of_run("retry(when = |error| true)").starts_with("write `when = PATH`"));
    assert_eq!(told("topic = \"orders\", run", HANDLER), "write `run(group = \"billing\")`");
}

#[test]
fn a_consumer_needs_a_topic_and_a_function_of_its_own() {
    assert!(
        told("run(group = \"billing\")", HANDLER)
            .starts_with("what is consumed is not said; write `topic = ")
    );
    assert_eq!(told("run(topics = [\"a\"])", HANDLER), "");
    let run = "topic = \"orders\", run(group = \"billing\")";
    let method = "fn handle(&self, order: Record) {}";
    assert!(told(run, method).contains("which a method cannot have; move the handler out of the `impl`"));
    assert!(told(run, "fn handle<T>(order: Record<T>) {}").contains("needs a function without generics"));
    let links = "topic = \"orders\", links = [LINK], run(group = \"billing\")";
    assert!(told(links, HANDLER).contains("write `throughline::add_link(..)` in the body"));
    // A struct may be the message there, and only there.
    assert_eq!(told(run, "fn handle(order: OrderPlaced) {}"), "");
    assert!(
        told("topic = \"orders\"", "fn handle(order: OrderPlaced) {}").contains("no parameter is a message")
    );
    assert!(told(run, "fn handle() {}").contains("no parameter is a message"));
}
