use throughline::traced_span;

#[traced_span(follows_from = [])]
fn load(id: u64) -> u64 {
    id
}

fn main() {}
