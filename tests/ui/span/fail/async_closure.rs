use throughline::span;

fn main() {
    span!("orders.load", async || 1);
}
