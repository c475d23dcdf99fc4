use throughline::record;

fn main() {
    let order = (1, 2);
    record!("order.id" = );
    let _ = order;
}
