use throughline::span;

fn main() {
    let _ = async { span!("orders.load", std::future::ready(1).await) };
}
