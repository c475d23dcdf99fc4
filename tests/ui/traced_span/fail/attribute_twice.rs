use throughline::traced_span;

#[traced_span("a")]
#[traced_span("b")]
fn load() {}

fn main() {}
