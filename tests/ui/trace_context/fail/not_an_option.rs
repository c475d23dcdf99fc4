use throughline::TraceContext;

#[derive(TraceContext)]
struct Order {
    #[trace(traceparent)]
    parent: String,
}

fn main() {}
