use throughline::span;

fn main() {
    let _ = span!("orders.load", || Err::<u8, _>("a".into())).map_err(|error: String| error);
}
