// tokio-rs/tracing#3306: a glob import inside the body that shadows the return type.
use throughline::traced_span;

mod other {
    #[allow(dead_code)]
    pub struct Order;
}

struct Order;

#[traced_span]
fn load() -> Order {
    let order = Order;
    {
        #[allow(unused_imports)]
        use other::*;
    }
    order
}

#[traced_span]
async fn load_async() -> Result<Order, std::fmt::Error> {
    Ok(Order)
}

fn main() {
    let _ = load();
    drop(load_async());
}
