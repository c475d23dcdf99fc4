use throughline::traced_span;

#[traced_span(colour = "red")]
fn load(id: u64) -> u64 {
    id
}

fn main() {}
