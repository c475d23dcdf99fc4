use throughline::traced_span;

#[traced_span(fields(order = tracing::field::Empty))]
fn load(id: u64) -> u64 {
    id
}

fn main() {}
