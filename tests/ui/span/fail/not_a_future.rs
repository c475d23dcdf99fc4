use throughline::span;

fn main() {
    let _ = span!("orders.load", 1 + 1);
}
