use throughline::traced_span;

#[traced_span("orders.load"x)]
fn load(id: u64) -> u64 {
    id
}

fn main() {}
