use throughline::traced_span;

#[traced_span(err(Debug))]
fn load(id: u64) -> Result<u64, std::fmt::Error> {
    Ok(id)
}

fn main() {}
