use std::panic::Location;
use throughline::traced_span;

#[traced_span]
#[track_caller]
fn without_value(line: u32) {
    assert_eq!(Location::caller().line(), line);
}

#[traced_span(err = ignore)]
#[track_caller]
fn with_value() -> u32 {
    Location::caller().line()
}

fn main() {
    without_value(line!());
    assert_eq!(with_value(), line!());
}
