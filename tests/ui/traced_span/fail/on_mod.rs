use throughline::traced_span;

#[traced_span]
mod orders {}

fn main() {}
