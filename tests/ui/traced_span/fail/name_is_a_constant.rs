use throughline::traced_span;

const NAME: &str = "orders.load";

#[traced_span(NAME)]
fn load(id: u64) -> u64 {
    id
}

fn main() {}
