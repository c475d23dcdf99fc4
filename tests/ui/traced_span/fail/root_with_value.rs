use throughline::traced_span;

#[traced_span(root = true)]
fn load(id: u64) -> u64 {
    id
}

fn main() {}
