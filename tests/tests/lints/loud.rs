//! Code with something to complain about: each lint still fires, at the user's code. Other macros lose some of them
//! (tokio-rs/tracing#3108 #3402 #3597 #3604, rust-clippy#13577 #13753). Lost with ours, since the body lies in
//! a closure or an `async` block: `needless_return`, `unused_braces`, `unused_async`, `async_yields_async`, and
//! `needless_pass_by_value` where the function returns a value.

use throughline::traced_span;

#[expect(unused_variables)]
#[traced_span]
fn unused_variables(never_read: u8) {}

#[expect(unused_variables)]
#[traced_span]
fn unused_variables_in_closure(never_read: u8) -> u8 {
    1
}

#[expect(unused_variables)]
#[traced_span]
async fn unused_variables_in_async(never_read: u8) {
    std::future::ready(()).await;
}

#[expect(dead_code)]
#[traced_span]
fn dead_code() {}

#[expect(dead_code)]
#[traced_span]
async fn dead_code_async() -> u8 {
    1
}

#[traced_span]
fn unused_must_use() -> u8 {
    #[expect(unused_must_use)]
    {
        "1".parse::<u8>();
    }
    1
}

#[expect(unreachable_code)]
#[traced_span]
fn unreachable_code() -> u8 {
    return 1;
    2
}

#[expect(unreachable_code)]
#[traced_span]
async fn unreachable_code_async() -> u8 {
    std::future::ready(()).await;
    return 1;
    2
}

#[expect(unused_mut)]
#[traced_span]
fn unused_mut() -> u8 {
    let mut n = 1;
    n + 1
}

#[expect(clippy::print_stdout)]
#[traced_span]
fn print_stdout() {
    println!();
}

#[expect(clippy::print_stdout)]
#[traced_span]
async fn print_stdout_async() -> u8 {
    std::future::ready(()).await;
    println!();
    1
}

#[expect(clippy::unwrap_used)]
#[traced_span]
fn unwrap_used(text: &str) -> u8 {
    text.parse().unwrap()
}

#[expect(clippy::needless_pass_by_value)]
#[traced_span]
fn needless_pass_by_value(text: String) {
    print(&text);
}

const fn print(_: &str) {}

#[expect(clippy::too_many_arguments)]
#[traced_span]
fn too_many_arguments(n1: u8, n2: u8, n3: u8, n4: u8, n5: u8, n6: u8, n7: u8, n8: u8) -> u8 {
    n1 + n2 + n3 + n4 + n5 + n6 + n7 + n8
}

pub(super) fn call_all() {
    unused_variables(1);
    let _ = unused_variables_in_closure(1);
    drop(unused_variables_in_async(1));
    let _ = unused_must_use();
    let _ = unreachable_code();
    drop(unreachable_code_async());
    let _ = unused_mut();
    print_stdout();
    drop(print_stdout_async());
    let _ = unwrap_used("1");
    needless_pass_by_value(String::new());
    let _ = too_many_arguments(1, 1, 1, 1, 1, 1, 1, 1);
}
