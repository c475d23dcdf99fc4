// One error, where the code is unfinished; `load` itself stays known.
use throughline::traced_span;

#[traced_span]
fn load(id: u64) -> u64 {
    id.
}

fn main() {
    load(1);
}
