// The wrapper is `Send` exactly when the body is.
use throughline::traced_span;

#[traced_span]
async fn load() {
    let shared = std::rc::Rc::new(1);
    std::future::ready(()).await;
    drop(shared);
}

fn assert_send(_: impl Send) {}

fn main() {
    assert_send(load());
}
