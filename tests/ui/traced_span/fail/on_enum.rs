use throughline::traced_span;

#[traced_span]
enum Orders {}

fn main() {}
