use throughline::traced_span;

#[traced_span]
fn forever(id: u64) -> ! {
    std::process::exit(i32::try_from(id).unwrap_or(0))
}

#[traced_span]
async fn forever_async() -> ! {
    loop {
        std::future::pending::<()>().await;
    }
}

fn main() {
    drop(forever_async());
    forever(0);
}
