use throughline::traced_span;

#[traced_span(kind = client, kind = server)]
fn load(id: u64) -> u64 {
    id
}

fn main() {}
