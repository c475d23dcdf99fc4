use throughline::traced_span;

#[traced_span]
trait Orders {}

fn main() {}
