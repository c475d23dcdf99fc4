// Above or below another attribute that rewrites the function.
use throughline::traced_span;

#[tokio::main(flavor = "current_thread")]
#[traced_span]
async fn below() -> Result<(), std::fmt::Error> {
    Ok(())
}

#[traced_span]
#[tokio::main(flavor = "current_thread")]
async fn above() -> Result<(), std::fmt::Error> {
    Ok(())
}

fn main() {
    below().unwrap();
    above().unwrap();
}
