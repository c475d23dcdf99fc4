use throughline::span;

fn main() {
    span!("orders.load", || 1, kind = client);
}
