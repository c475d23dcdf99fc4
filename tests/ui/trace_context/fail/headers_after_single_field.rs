use throughline::TraceContext;

#[derive(TraceContext)]
struct Order {
    #[trace(traceparent)]
    parent: Option<String>,
    #[trace(headers)]
    headers: Vec<(String, String)>,
}

fn main() {}
