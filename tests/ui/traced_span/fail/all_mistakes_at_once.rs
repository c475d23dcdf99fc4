use throughline::traced_span;

#[traced_span("", knd = client, fields(self.id, id, id), root = 1)]
fn load(id: u64) -> u64 {
    id
}

fn main() {}
