use throughline::traced_span;

#[traced_span(root, parent = cx)]
fn load(cx: throughline::opentelemetry::Context) -> u64 {
    let _ = cx;
    1
}

fn main() {}
