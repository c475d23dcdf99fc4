use throughline::span;

fn main() {
    span!("orders.load", returns = future, async {});
}
