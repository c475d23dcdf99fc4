use throughline::TraceContext;

#[derive(TraceContext)]
struct Order {
    #[trace(traceparent, tracestate)]
    parent: Option<String>,
}

fn main() {}
