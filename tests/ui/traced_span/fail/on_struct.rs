use throughline::traced_span;

#[traced_span]
struct Orders;

fn main() {}
