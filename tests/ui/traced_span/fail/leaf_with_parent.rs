use throughline::traced_span;

#[traced_span(parent = &cx, leaf)]
fn load(cx: throughline::opentelemetry::Context) -> u64 {
    let _ = cx;
    1
}

fn main() {}
