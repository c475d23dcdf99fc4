use throughline::traced_span;

#[traced_span(enter_on_poll = true)]
fn load(id: u64) -> u64 {
    id
}

fn main() {}
