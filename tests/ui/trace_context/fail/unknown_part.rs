use throughline::TraceContext;

#[derive(TraceContext)]
struct Order {
    #[trace(parent)]
    parent: Option<String>,
}

fn main() {}
