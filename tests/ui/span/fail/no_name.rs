use throughline::span;

fn main() {
    let _span = span!();
}
