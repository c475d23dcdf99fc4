// M-6, tokio-rs/tracing#1227 #2270: the message is about the user's expression and type.
use throughline::traced_span;

#[traced_span]
fn load(id: u64) -> String {
    id
}

fn main() {}
