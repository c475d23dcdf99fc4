use throughline::TraceContext;

#[derive(TraceContext)]
struct Order {
    #[trace(tracestate)]
    state: Option<String>,
}

fn main() {}
