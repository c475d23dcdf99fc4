use throughline::TraceContext;

#[derive(TraceContext)]
struct Order(Option<String>);

fn main() {}
