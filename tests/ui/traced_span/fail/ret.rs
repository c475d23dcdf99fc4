use throughline::traced_span;

#[traced_span(ret)]
fn load(id: u64) -> u64 {
    id
}

fn main() {}
// tokio-rs/tracing#2963: no `ret` that also reports errors.
