// tokio-rs/tracing#1863 #1866 #1840 #1874: by the return type, not by the shape of the body.
use futures_util::future::{BoxFuture, FutureExt as _, LocalBoxFuture};
use std::future::Future;
use std::pin::Pin;
use throughline::traced_span;

#[traced_span]
fn captures<'a, T: Send + 'a>(id: &'a str, value: T) -> impl Future<Output = (&'a str, T)> + Send + use<'a, T> {
    async move { (id, value) }
}

#[traced_span]
fn box_future<'a>(id: &'a str) -> BoxFuture<'a, Result<&'a str, std::fmt::Error>> {
    async move { Ok(id) }.boxed()
}

#[traced_span]
fn local(id: std::rc::Rc<u8>) -> LocalBoxFuture<'static, u8> {
    async move { *id }.boxed_local()
}

type Alias<'a> = Pin<Box<dyn Future<Output = u8> + Send + 'a>>;

#[traced_span(returns = future)]
fn alias(id: &u8) -> Alias<'_> {
    Box::pin(async move { *id })
}

#[traced_span(returns = value)]
fn by_value(id: u8) -> impl Future<Output = u8> {
    async move { id }
}

#[traced_span]
fn pinned_opaque(id: u8) -> Pin<Box<impl Future<Output = Result<u8, Box<dyn std::error::Error>>>>> {
    Box::pin(async move { if id == 0 { Err("zero".into()) } else { Ok(id) } })
}

trait Load {
    fn load(&self) -> impl Future<Output = Result<u8, std::fmt::Error>> + Send;

    #[traced_span]
    async fn default_body(&self) -> u8 {
        1
    }
}

struct Store;

impl Load for Store {
    #[traced_span]
    async fn load(&self) -> Result<u8, std::fmt::Error> {
        Ok(1)
    }
}

#[traced_span]
async fn recursive(depth: u8) -> u8 {
    if depth == 0 { 0 } else { Box::pin(recursive(depth - 1)).await }
}

fn assert_send<T: Send>(_: T) {}

fn main() {
    assert_send(captures("a", 1));
    assert_send(box_future("a"));
    drop(local(std::rc::Rc::new(1)));
    assert_send(alias(&1));
    assert_send(by_value(1));
    drop(pinned_opaque(1));
    assert_send(Store.load());
    drop(Store.default_body());
    assert_send(recursive(1));
}
