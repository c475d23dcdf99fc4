use throughline::opentelemetry::trace::{Link, SpanContext};
use throughline::opentelemetry::{Context, InstrumentationScope};
use throughline::{ErrorInfo, traced_span};

const KEY: &str = "messaging.system";

#[traced_span("orders.load", kind = client, fields(id, "a.b" = id + 1, c.d = ?id, {KEY} = "kafka",), err = debug,)]
fn first(id: u64) -> Result<u64, std::fmt::Error> {
    Ok(id)
}

#[traced_span(name = format!("orders.{kind}"), parent = cx, links = [Link::new(SpanContext::NONE, vec![], 0)])]
fn second(kind: &str, cx: &Context) {
    let _ = (kind, cx);
}

#[traced_span(root, links = links.iter(), scope = InstrumentationScope::builder("orders").build())]
async fn third(links: Vec<SpanContext>) {
    drop(links);
}

#[traced_span(leaf, scope = "orders", kind = internal, err = ignore)]
fn fourth() -> Result<(), ()> {
    Ok(())
}

#[traced_span(leaf, name = format!("orders.{kind}"), parent = cx, links = [SpanContext::NONE], scope = String::new())]
fn leaf_with_all(kind: &str, cx: &Context) {
    let _ = (kind, cx);
}

#[traced_span(leaf, root)]
async fn leaf_with_root() {}

fn classify(error: &std::io::Error) -> Option<ErrorInfo> {
    (error.kind() != std::io::ErrorKind::NotFound).then(|| ErrorInfo::new("io"))
}

#[traced_span(err = classify, parent = Some(SpanContext::NONE))]
fn fifth() -> Result<(), std::io::Error> {
    Ok(())
}

mod telemetry {
    pub use throughline::__private;
}

#[traced_span(crate = crate::telemetry)]
async fn sixth() -> Result<(), std::io::Error> {
    Ok(())
}

#[traced_span(fields(static_text, text, integer, big, float, flag, none, list, letter, shared))]
#[allow(clippy::too_many_arguments)]
fn values(
    static_text: &'static str,
    text: &str,
    integer: u8,
    big: u128,
    float: f32,
    flag: &bool,
    none: Option<&str>,
    list: &[String],
    letter: char,
    shared: std::sync::Arc<str>,
) {
    let _ = (static_text, text, integer, big, float, flag, none, list, letter, shared);
}

fn main() {
    let _ = first(1);
    second("a", &Context::new());
    drop(third(vec![]));
    let _ = fourth();
    let _ = fifth();
    drop(sixth());
    leaf_with_all("a", &Context::new());
    drop(leaf_with_root());
    values("a", "b", 1, 2, 3.0, &true, None, &[], 'c', "d".into());
}
