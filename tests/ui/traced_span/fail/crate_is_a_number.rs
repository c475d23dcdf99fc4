use throughline::traced_span;

#[traced_span(crate = 1)]
fn load(id: u64) -> u64 {
    id
}

fn main() {}
