use throughline::span;

fn main() {
    span!(|| 1);
}
