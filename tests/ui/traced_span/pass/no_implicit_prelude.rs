#![no_implicit_prelude]

#[::throughline::traced_span(fields(id, %id2, { KEY } = 1), name = "orders.load", scope = "orders")]
fn load(id: u64, id2: u64) -> ::std::result::Result<u64, ::std::fmt::Error> {
    ::std::result::Result::Ok(id + id2)
}

const KEY: &str = "key";

#[::throughline::traced_span]
async fn load_async(id: u64) -> ::std::result::Result<u64, ::std::fmt::Error> {
    ::std::result::Result::Ok(id)
}

#[::throughline::traced_span]
fn load_boxed(id: u64) -> ::std::pin::Pin<::std::boxed::Box<dyn ::std::future::Future<Output = u64>>> {
    ::std::boxed::Box::pin(async move { id })
}

fn main() {
    let _ = load(1, 2);
    let _ = load_async(1);
    let _ = load_boxed(1);
}
