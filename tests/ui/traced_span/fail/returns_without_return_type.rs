use throughline::traced_span;

#[traced_span(returns = future)]
fn load(id: u64) {
    let _ = id;
}

fn main() {}
