use throughline::TraceContext;

#[derive(TraceContext)]
#[trace(headers)]
struct Order {
    #[trace(traceparent)]
    parent: Option<String>,
}

fn main() {}
