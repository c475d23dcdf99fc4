use throughline::record;

fn main() {
    let order = (1, 2);
    record!(id: order.0);
}
