// Nothing of the expansion depends on what is in scope.
#![allow(dead_code, non_camel_case_types)]
use throughline::traced_span;

struct Option;
struct Result;
struct Box;
struct String;
trait Future {}
fn drop() {}
mod core {}
mod std {}
mod throughline_private {}

#[traced_span(fields(id))]
fn load(id: u64) -> u64 {
    id
}

#[traced_span]
async fn load_async(id: u64) -> u64 {
    id
}

fn main() {
    load(1);
    let _ = load_async(1);
}
