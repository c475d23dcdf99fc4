//! Every shape, in code that has nothing to complain about. tokio-rs/tracing#843 #1093 #1613 #2422 #3485

use futures_core::Stream;
use futures_core::future::BoxFuture;
use std::fmt::{Debug, Display};
use std::future::Future;
use std::pin::Pin;
use throughline::opentelemetry::Context;
use throughline::{TraceContext, record, span, traced_span};

const KEY: &str = "key";

#[traced_span]
fn nothing() {}

#[traced_span]
fn one_expression(n: u8) -> u8 {
    n
}

#[traced_span("orders.load", kind = client, fields(n, %text, {KEY} = n + 1, "a.b" = "literal", c = ?text), err = debug)]
fn every_constant(n: u8, text: &str) -> Result<usize, std::num::ParseIntError> {
    let parsed: usize = text.parse()?;
    Ok(parsed + usize::from(n))
}

#[traced_span(name = format!("load.{text}"), parent = cx, links = cx.has_active_span().then(|| cx.span().span_context().clone()), scope = "scope")]
fn every_option(text: &str, cx: &Context) -> usize {
    text.len()
}

use throughline::opentelemetry::trace::TraceContextExt as _;

#[traced_span(leaf)]
fn leaf(list: &mut Vec<u8>) {
    list.push(1);
}

#[traced_span]
async fn async_fn(text: &str) -> Result<&str, Box<dyn std::error::Error + Send + Sync>> {
    if text.is_empty() {
        return Err("empty".into());
    }
    std::future::ready(()).await;
    Ok(text)
}

#[traced_span]
async fn async_nothing() {
    std::future::ready(()).await;
}

#[traced_span]
async fn returns_a_future() -> std::future::Ready<u8> {
    std::future::ready(()).await;
    std::future::ready(1)
}

#[traced_span]
fn impl_future(n: u8) -> impl Future<Output = u8> + Send {
    async move {
        std::future::ready(()).await;
        n
    }
}

#[traced_span]
fn box_future(n: &u8) -> BoxFuture<'_, u8> {
    Box::pin(async move { *n })
}

#[traced_span]
fn pin_box<'a>(n: &'a u8) -> Pin<Box<dyn Future<Output = &'a u8> + Send + 'a>> {
    Box::pin(async move { n })
}

#[traced_span]
fn stream(n: u8) -> impl Stream<Item = u8> + Send {
    futures_util::stream::iter(0..n)
}

#[traced_span]
fn opaque(n: u8) -> impl Display + Debug {
    n
}

#[traced_span]
fn closure(n: u8) -> Box<dyn Fn(u8) -> u8> {
    Box::new(move |m| n + m)
}

#[traced_span]
fn generic<T: Clone + Debug, const N: usize>((list, at): (&[T; N], usize)) -> Option<T> {
    list.get(at).cloned()
}

#[traced_span]
fn never(code: i32) -> ! {
    std::process::exit(code)
}

#[derive(Debug, Default)]
struct Order {
    id: String,
    lines: Vec<u8>,
}

impl Order {
    #[traced_span(fields(id = self.id, lines = self.lines.len()))]
    fn by_ref(&self) -> &str {
        &self.id
    }

    #[traced_span]
    fn by_value(mut self) -> Self {
        self.lines.clear();
        self
    }

    #[traced_span]
    async fn by_mut(&mut self) -> Option<&mut u8> {
        std::future::ready(()).await;
        self.lines.first_mut()
    }
}

#[async_trait::async_trait]
trait Load {
    async fn load(&self, id: u64) -> Result<u64, String>;
}

#[async_trait::async_trait]
impl Load for Order {
    #[traced_span(fields(id))]
    async fn load(&self, id: u64) -> Result<u64, String> {
        std::future::ready(()).await;
        Ok(id)
    }
}

#[derive(Debug, Default, TraceContext)]
struct Message {
    #[trace(traceparent)]
    parent: Option<String>,
}

async fn inline() -> u8 {
    let n = span!("closure", fields(KEY), || 1);
    let m = span!("future", async { 2 }).await;
    let _guard = span!("guard", root, fields(n));
    record!(n, %m, "a.b" = ?m);
    n + m
}

pub(super) fn call_all() {
    nothing();
    let _ = one_expression(1);
    let _ = every_constant(1, "1");
    let _ = every_option("", &Context::new());
    leaf(&mut Vec::new());
    drop((async_fn(""), async_nothing(), returns_a_future(), impl_future(1), box_future(&1), pin_box(&1)));
    drop((stream(1), opaque(1), closure(1), generic((&[1], 0)), inline()));
    let mut order = Order::default();
    let _ = order.by_ref();
    drop(order.by_mut());
    drop(order.load(1));
    drop(order.by_value());
    Message::default().inject_trace_context();
    if std::env::args().len() > 1_000 {
        never(1);
    }
}
