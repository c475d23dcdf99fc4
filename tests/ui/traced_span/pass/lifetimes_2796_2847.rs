// tokio-rs/tracing#2796 #2847: "lifetime may not live long enough" with `err`.
use throughline::traced_span;

struct Store {
    text: String,
}

impl Store {
    #[traced_span]
    fn text(&mut self) -> Result<&mut String, std::fmt::Error> {
        Ok(&mut self.text)
    }

    #[traced_span(err = debug)]
    fn longest<'a>(&'a self, other: &'a str) -> Result<&'a str, &'a str> {
        if other.len() > self.text.len() { Ok(other) } else { Err(&self.text) }
    }

    #[traced_span]
    async fn text_async(&self) -> Result<&str, std::fmt::Error> {
        Ok(&self.text)
    }

    #[traced_span]
    fn reborrow<'a>(list: &'a mut Vec<u8>) -> Option<&'a mut u8> {
        match list.first_mut() {
            Some(first) => Some(first),
            None => None,
        }
    }
}

fn main() {
    let mut store = Store { text: "a".into() };
    store.text().unwrap().push('b');
    assert_eq!(store.longest("abc"), Ok("abc"));
    assert!(Store::reborrow(&mut vec![1]).is_some());
    drop(store.text_async());
}
