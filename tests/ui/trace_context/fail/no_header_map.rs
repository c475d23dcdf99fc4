use throughline::TraceContext;

#[derive(TraceContext)]
struct Order {
    #[trace(headers)]
    headers: u64,
}

fn main() {}
