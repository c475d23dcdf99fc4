//! What the macros accept, refuse and expand to, without a compiler.

mod broken_input;
mod run_words;
mod snapshots;

use proc_macro2::TokenStream;

fn tokens(text: &str) -> TokenStream {
    text.parse().unwrap_or_else(|error| panic!("no tokens: {error}\n{text}"))
}

/// The texts of the `compile_error!`s in an expansion.
fn messages(expansion: &TokenStream) -> Vec<String> {
    use proc_macro2::TokenTree;
    let mut messages = Vec::new();
    let mut rest = expansion.clone().into_iter().peekable();
    while let Some(token) = rest.next() {
        match token {
            TokenTree::Ident(ident) if ident == "compile_error" => {
                let group = rest.find_map(|token| match token {
                    TokenTree::Group(group) => Some(group.stream()),
                    _ => None,
                });
                let literal = syn::parse2::<syn::LitStr>(group.unwrap_or_default());
                messages.extend(literal.map(|literal| literal.value()));
            }
            TokenTree::Group(group) => messages.extend(self::messages(&group.stream())),
            _ => {}
        }
    }
    messages
}

fn traced_span(args: &str, item: &str) -> TokenStream {
    crate::attribute::traced_span(tokens(args), tokens(item))
}

#[test]
fn a_bad_argument_still_expands() {
    let expansion = traced_span("knd = client", "fn load() -> u8 { 1 }");
    assert_eq!(messages(&expansion).len(), 1);
    assert!(expansion.to_string().contains("fn load () -> u8"));
}

#[test]
fn a_bad_item_comes_back_unchanged() {
    let item = "struct Order { id : u64 , }";
    let expansion = traced_span("", item).to_string();
    assert!(expansion.ends_with(item), "{expansion}");
    assert!(expansion.contains("compile_error"));
}

#[test]
fn all_mistakes_are_told_at_once() {
    let expansion =
        traced_span("\"\", knd = 1, fields(self.id, a, a), root = 1, level = 3", "fn load(a: u8) {}");
    assert_eq!(messages(&expansion).len(), 6, "{:#?}", messages(&expansion));
}

#[test]
fn generic_arguments_hold_commas() {
    let expansion = traced_span("name = name::<A, B>(), fields(x = f::<A, B>(1, 2), y = 1)", "fn load() {}");
    assert_eq!(messages(&expansion), Vec::<String>::new());
}

#[test]
fn a_trailing_comma_is_fine() {
    let expansion = traced_span("\"a\", fields(x,), root,", "fn load(x: u8) {}");
    assert_eq!(messages(&expansion), Vec::<String>::new());
}

#[test]
fn advice_can_be_typed_in_as_it_stands() {
    let message = |args: &str| messages(&traced_span(args, "fn load(x: u8) {}")).join("; ");
    for literal in ["'a'", "b\"a\"", "c\"a\""] {
        assert_eq!(message(literal), "a span's name is a string; write `\"a\"`");
    }
    assert_eq!(message("1.5"), "a span's name is a string; write `\"1.5\"`");
    assert_eq!(message("crate = 1"), "write `crate = PATH`, such as `crate = telemetry`");
    assert!(message("fields(\" \" = x)").starts_with("the key is empty"));
}

#[test]
fn unknown_words_are_answered_with_the_nearest_and_all_known() {
    let expansion = traced_span("fieds(x)", "fn load(x: u8) {}");
    let messages = messages(&expansion);
    assert!(messages[0].contains("did you mean `fields`?"), "{messages:?}");
    assert!(messages[0].contains("`crate`"), "{messages:?}");
}

#[test]
fn all_mistakes_of_a_message_are_told_at_once_and_it_stays_a_message() {
    let item = "#[kafka(codec = Raw, colour = 1)] struct Order { #[kafka(key)] a: f64, #[kafka(key)] b: u8, \
                #[kafka(header = \"traceparent\")] c: String, #[kafka(trace)] d: u8, e: u8 }";
    let expansion = crate::kafka_message::kafka_message(tokens(item));
    assert_eq!(messages(&expansion).len(), 7, "{:#?}", messages(&expansion));
    assert!(expansion.to_string().contains("KafkaMessage for Order"), "{expansion}");
}

#[cfg(feature = "enable")]
#[test]
fn the_body_is_emitted_once() {
    for signature in [
        "fn load()",
        "fn load() -> u8",
        "async fn load() -> u8",
        "fn load() -> impl Future<Output = u8>",
        "fn load() -> BoxFuture<'static, u8>",
        "fn load() -> impl Stream<Item = u8>",
    ] {
        let expansion = traced_span("", &format!("{signature} {{ the_body() }}")).to_string();
        assert_eq!(expansion.matches("the_body").count(), 1, "{expansion}");
        assert!(expansion.contains(&tokens(signature).to_string()), "{expansion}");
    }
}

#[cfg(not(feature = "enable"))]
#[test]
fn disabled_gives_the_item_back() {
    let item = "# [inline] pub fn load (x : u8) -> u8 { x + }";
    assert_eq!(traced_span("\"a\", fields(x)", item).to_string(), item);
}
