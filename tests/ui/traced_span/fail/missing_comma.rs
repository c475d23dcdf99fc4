use throughline::traced_span;

#[traced_span("orders.load" kind = client)]
fn load(id: u64) -> u64 {
    id
}

fn main() {}
