use throughline::traced_span;

#[traced_span(properties = { "id": "{id}" })]
fn load(id: u64) -> u64 {
    id
}

fn main() {}
