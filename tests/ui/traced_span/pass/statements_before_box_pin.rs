// tokio-rs/tracing#1296, fastrace 0.7.19: what stands before `Box::pin(async ..)` was dropped.
use std::future::Future;
use std::pin::Pin;
use throughline::traced_span;

#[traced_span]
fn load(id: u64) -> Pin<Box<dyn Future<Output = u64> + Send>> {
    let doubled = id * 2;
    Box::pin(async move { doubled })
}

#[traced_span]
fn several_returns(id: u64) -> impl Future<Output = Result<u64, Box<dyn std::error::Error>>> {
    if id == 0 {
        return std::future::ready(Err("zero".into()));
    }
    std::future::ready(Ok(id))
}

fn main() {
    drop(load(1));
    drop(several_returns(1));
}
