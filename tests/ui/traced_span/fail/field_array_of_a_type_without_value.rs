use throughline::traced_span;

struct Order;

#[traced_span(fields(orders))]
fn load(orders: &[Order]) -> usize {
    orders.len()
}

fn main() {}
