use throughline::TraceContext;

#[derive(TraceContext)]
struct Order {
    id: u64,
}

fn main() {}
