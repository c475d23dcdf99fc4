use throughline::traced_span;

#[traced_span(leaf, scope = id.to_string())]
fn load(id: u64) -> u64 {
    id
}

fn main() {}
