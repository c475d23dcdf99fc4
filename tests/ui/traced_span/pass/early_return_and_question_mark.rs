// opentelemetry-auto-span 0.4.0 rewrites `?`, also the one that belongs to a closure.
use throughline::traced_span;

#[traced_span]
fn question_mark_in_closure(text: &str) -> Result<u8, Box<dyn std::error::Error>> {
    let parse = |text: &str| -> Result<u8, std::num::ParseIntError> { Ok(text.parse::<u8>()? + 1) };
    if text.is_empty() {
        return Err("empty".into());
    }
    Ok(parse(text)?)
}

#[traced_span]
async fn question_mark_in_async(text: &str) -> Result<u8, Box<dyn std::error::Error + Send + Sync>> {
    if text.is_empty() {
        Err("empty")?;
    }
    Ok(text.parse()?)
}

fn main() {
    assert!(question_mark_in_closure("1").is_ok());
    drop(question_mark_in_async("1"));
}
