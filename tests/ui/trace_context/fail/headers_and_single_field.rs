use throughline::TraceContext;

#[derive(TraceContext)]
struct Order {
    #[trace(headers)]
    headers: Vec<(String, String)>,
    #[trace(traceparent)]
    parent: Option<String>,
}

fn main() {}
