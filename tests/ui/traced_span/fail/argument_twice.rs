use throughline::traced_span;

#[traced_span(kind = client, kind = server)]
fn load(id: u64) -> u64 {
    id
}

fn main() {}
// tokio-rs/tracing#3606: only what is there twice is told.
