use throughline::traced_span;

#[traced_span(fields(id, id = 3))]
fn load(id: u64) -> u64 {
    id
}

fn main() {}
