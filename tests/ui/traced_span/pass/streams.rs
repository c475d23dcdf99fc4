use futures_core::Stream;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use std::pin::Pin;
use throughline::traced_span;

#[traced_span(fields(n))]
fn opaque(n: u8) -> impl Stream<Item = u8> + Send {
    stream::iter(0..n)
}

#[traced_span]
fn boxed<'a>(list: &'a [u8]) -> BoxStream<'a, &'a u8> {
    stream::iter(list).boxed()
}

#[traced_span]
fn pinned(n: u8) -> Pin<Box<dyn Stream<Item = Result<u8, std::fmt::Error>> + Send>> {
    Box::pin(stream::iter((0..n).map(Ok)))
}

type Alias = Pin<Box<dyn Stream<Item = u8>>>;

#[traced_span(returns = stream)]
fn alias(n: u8) -> Alias {
    Box::pin(stream::iter(0..n))
}

#[traced_span]
fn generated(n: u8) -> impl Stream<Item = u8> {
    async_stream::stream! {
        for i in 0..n {
            yield i;
        }
    }
}

fn main() {
    drop(opaque(1));
    drop(boxed(&[1]));
    drop(pinned(1));
    drop(alias(1));
    drop(generated(1));
}
