//! The build without the feature `enable`: an attribute checks its arguments and returns the function untouched.
#![cfg(test)]
#![deny(warnings)]

use std::cell::Cell;
use std::future::Future;
use std::task::{Context, Poll, Waker};

use throughline::{ErrorType, FieldValue, ToValue, TraceContext, record, span, traced_span};

thread_local! {
    static EVALUATED: Cell<u32> = const { Cell::new(0) };
}

#[allow(dead_code, reason = "named in arguments only, and those are not evaluated")]
fn evaluated() -> u32 {
    EVALUATED.set(EVALUATED.get() + 1);
    1
}

fn ready<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the future waits"),
    }
}

#[traced_span("orders.load", kind = client, fields(id, n = evaluated()))]
fn sync(id: u64) -> u64 {
    id
}

#[traced_span(name = format!("orders.{}", evaluated()))]
async fn asynchronous(id: &u64) -> Result<&u64, std::fmt::Error> {
    Ok(id)
}

#[test]
fn functions_are_untouched() {
    EVALUATED.set(0);
    let plain = async |id: &u64| -> Result<u64, std::fmt::Error> { Ok(*id) };
    assert_eq!(size_of_val(&asynchronous(&1)), size_of_val(&plain(&1)));
    assert_eq!((sync(1), ready(asynchronous(&1))), (1, Ok(&1)));
    assert_eq!(EVALUATED.get(), 0);
}

#[test]
fn span_gives_what_it_holds() {
    EVALUATED.set(0);
    let n = 1;
    assert_eq!(span!("closure", fields(n = evaluated()), || n + 1), 2);
    assert_eq!(ready(span!("future", kind = client, async { n })), 1);
    let _guard = span!("guard", leaf);
    record!(n, "key" = evaluated());
    assert_eq!(EVALUATED.get(), 0);
}

#[test]
fn functions_on_the_current_span_do_nothing() {
    throughline::set_attribute("key", 1);
    throughline::add_event("event", []);
    throughline::update_name("name");
    throughline::record_error(&std::fmt::Error);
    assert_eq!(throughline::trace_id(), None);
    assert_eq!(throughline::span_id(), None);
}

#[derive(Debug)]
struct Refused;

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("refused")
    }
}

impl ErrorType for Refused {
    fn error_type(&self) -> std::borrow::Cow<'static, str> {
        "refused".into()
    }
}

impl ToValue for Refused {
    fn to_value(&self) -> FieldValue {
        FieldValue::Static("refused")
    }
}

/// A library implements the traits and derives whether or not the application records spans.
#[derive(Default, TraceContext)]
struct Message {
    #[trace(traceparent)]
    parent: Option<String>,
}

#[test]
fn traits_and_derives_exist_in_both_builds() {
    let mut message = Message::default();
    message.inject_trace_context();
    assert_eq!(message.parent, None);
    assert_eq!((Refused.error_type(), Refused.to_value()), ("refused".into(), FieldValue::Static("refused")));
}
