// apollo-opentelemetry 0.11.1 made this callable without `unsafe`.
use throughline::traced_span;

#[traced_span]
unsafe fn load(id: u64) -> u64 {
    id
}

fn main() {
    load(1);
}
