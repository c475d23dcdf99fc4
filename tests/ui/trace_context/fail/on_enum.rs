use throughline::TraceContext;

#[derive(TraceContext)]
enum Order {
    Placed,
}

fn main() {}
