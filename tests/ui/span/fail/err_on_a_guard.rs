use throughline::span;

fn main() {
    let _span = span!("orders.load", err = debug);
}
