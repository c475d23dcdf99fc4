use throughline::traced_span;

#[traced_span(err = debug)]
fn load(id: u64) -> u64 {
    id
}

fn main() {}
