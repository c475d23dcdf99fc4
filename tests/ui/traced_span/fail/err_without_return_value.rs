use throughline::traced_span;

#[traced_span(err = debug)]
fn load(id: u64) {
    let _ = id;
}

fn main() {}
