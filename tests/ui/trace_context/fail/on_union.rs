use throughline::TraceContext;

#[derive(TraceContext)]
union Order {
    id: u64,
}

fn main() {}
