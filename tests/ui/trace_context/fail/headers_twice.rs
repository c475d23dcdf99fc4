use throughline::TraceContext;

#[derive(TraceContext)]
struct Order {
    #[trace(headers)]
    first: Vec<(String, String)>,
    #[trace(headers)]
    second: Vec<(String, String)>,
}

fn main() {}
