use throughline::traced_span;

#[traced_span(err = debug)]
fn load(id: u64) -> impl futures_core::Stream<Item = u64> {
    futures_util::stream::iter(0..id)
}

fn main() {}
