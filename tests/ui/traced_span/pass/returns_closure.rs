// opentelemetry-traceable 0.3.0 emits the body three times: a returned closure that captures is then E0308.
use throughline::traced_span;

#[traced_span]
fn adder(n: u32) -> impl Fn(u32) -> u32 {
    move |m| n + m
}

#[traced_span]
fn boxed_adder(n: u32) -> Box<dyn Fn(u32) -> u32> {
    Box::new(move |m| n + m)
}

fn main() {
    assert_eq!(adder(1)(2), boxed_adder(1)(2));
}
