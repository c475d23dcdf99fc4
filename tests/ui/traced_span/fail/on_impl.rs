use throughline::traced_span;

struct Orders;

#[traced_span]
impl Orders {
    fn load(&self) {}
}

fn main() {}
