// autometrics 3.0.0: locals of the expansion are visible to the body.
use throughline::traced_span;

#[traced_span(fields(span, r))]
fn load(span: u64, r: u64) -> u64 {
    let future = span + r;
    let stream = future;
    stream
}

#[traced_span(fields(span))]
async fn load_async(span: u64) -> u64 {
    const SITE: u64 = 1;
    fn f() -> u64 {
        SITE
    }
    span + f()
}

fn main() {
    assert_eq!(load(1, 2), 3);
    drop(load_async(1));
}
