use throughline::TraceContext;

#[derive(TraceContext)]
struct Order {
    #[trace(traceparent)]
    first: Option<String>,
    #[trace(traceparent)]
    second: Option<String>,
}

fn main() {}
