use throughline::traced_span;

const ORDER_ID: &str = "order.id";

#[traced_span(fields({ORDER_ID}))]
fn load(id: u64) -> u64 {
    id
}

fn main() {}
