use throughline::traced_span;

mod names {
    pub const LOAD: &str = "orders.load";
}

#[traced_span(names::LOAD)]
fn load(id: u64) -> u64 {
    id
}

fn main() {}
