use throughline::TraceContext;

#[derive(TraceContext)]
#[trace(headers)]
struct Order {
    #[trace(tracestate)]
    state: String,
    #[trace(tracestate)]
    other: Option<String>,
    #[trace(colour)]
    colour: Option<String>,
}

fn main() {}
