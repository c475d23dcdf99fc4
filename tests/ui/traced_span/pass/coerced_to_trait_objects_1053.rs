// tokio-rs/tracing#1053
use std::fmt::{Debug, Display};
use throughline::traced_span;

#[traced_span]
fn debug(n: u8) -> Box<dyn Debug + Send> {
    if n == 0 {
        return Box::new("a");
    }
    Box::new(n)
}

#[traced_span]
async fn display(n: u8) -> Box<dyn Display + Send> {
    if n == 0 {
        return Box::new("a");
    }
    Box::new(n)
}

#[traced_span]
fn slice(n: &[u8; 3]) -> &[u8] {
    n
}

#[traced_span]
async fn opaque(n: u8) -> impl Display {
    n
}

#[traced_span]
async fn opaque_result(n: u8) -> Result<impl Display, std::fmt::Error> {
    Ok(n)
}

#[traced_span]
fn opaque_iterator<'a>(list: &'a [u8]) -> impl Iterator<Item = &'a u8> + 'a {
    list.iter()
}

fn main() {
    debug(0);
    drop(display(0));
    slice(&[1, 2, 3]);
    drop(opaque(1));
    drop(opaque_result(1));
    assert_eq!(opaque_iterator(&[1]).count(), 1);
}
