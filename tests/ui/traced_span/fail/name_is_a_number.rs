use throughline::traced_span;

#[traced_span(5)]
fn load(id: u64) -> u64 {
    id
}

fn main() {}
