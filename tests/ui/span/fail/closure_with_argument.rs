use throughline::span;

fn main() {
    span!("orders.load", |x| x);
}
