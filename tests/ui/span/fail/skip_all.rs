use throughline::span;

fn main() {
    let _span = span!("orders.load", skip_all, fields(id = 1));
}
