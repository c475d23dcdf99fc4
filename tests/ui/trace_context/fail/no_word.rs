use throughline::TraceContext;

#[derive(TraceContext)]
struct Order {
    #[trace]
    parent: Option<String>,
}

fn main() {}
