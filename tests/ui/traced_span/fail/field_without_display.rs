use throughline::traced_span;

struct Order(u64);

#[traced_span(fields(%order))]
fn load(order: Order) -> u64 {
    order.0
}

fn main() {}
