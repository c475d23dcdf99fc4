use throughline::traced_span;

#[traced_span(leaf, name = format!("load.{id}"))]
fn load(id: u64) -> u64 {
    id
}

fn main() {}
