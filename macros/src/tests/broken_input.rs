//! The macros never panic: an editor runs them on half-typed code at every keystroke.

use proc_macro2::{Delimiter, Group, Ident, Literal, Punct, Spacing, Span, TokenStream, TokenTree};
use proptest::prelude::*;

const WORDS: &[&str] = &[
    "name",
    "kind",
    "fields",
    "err",
    "parent",
    "root",
    "links",
    "scope",
    "leaf",
    "returns",
    "crate",
    "client",
    "debug",
    "ignore",
    "future",
    "skip_all",
    "level",
    "topic",
    "group",
    "context",
    "key",
    "utf8",
    "max",
    "with",
    "headers",
    "message",
    "run",
    "retry",
    "attempts",
    "concurrency",
    "by_key",
    "tracked",
    "batch",
    "when",
    "fn",
    "async",
    "const",
    "unsafe",
    "extern",
    "pub",
    "impl",
    "struct",
    "enum",
    "trait",
    "where",
    "self",
    "mut",
    "dyn",
    "Future",
    "Output",
    "Pin",
    "Box",
    "Vec",
    "OwnedMessage",
    "x",
    "move",
    "static",
    "str",
    "default",
    "trace",
    "traceparent",
    "kafka",
    "serde",
    "codec",
    "Json",
    "Raw",
    "header",
    "payload",
    "timestamp",
    "version",
    "baggage",
    "Option",
    "String",
    "r#type",
    "let",
    "for",
    "await",
    "union",
    "use",
];
const PUNCTS: &str = "=,.:;%?&*!#|<>-+'@^/~$";

fn token(depth: u32) -> BoxedStrategy<TokenTree> {
    let word = prop::sample::select(WORDS).prop_map(|word| match word.strip_prefix("r#") {
        Some(raw) => TokenTree::Ident(Ident::new_raw(raw, Span::call_site())),
        None => TokenTree::Ident(Ident::new(word, Span::call_site())),
    });
    let puncts: Vec<char> = PUNCTS.chars().collect();
    let punct = (prop::sample::select(puncts), any::<bool>()).prop_map(|(c, joint)| {
        TokenTree::Punct(Punct::new(c, if joint { Spacing::Joint } else { Spacing::Alone }))
    });
    let literal = prop_oneof![
        "[ -~]{0,6}".prop_map(|text| Literal::string(&text)),
        any::<u64>().prop_map(Literal::u64_unsuffixed),
        any::<char>().prop_map(Literal::character),
        any::<f32>()
            .prop_filter("literals are finite", |f| f.is_finite() && *f >= 0.0)
            .prop_map(Literal::f32_suffixed),
        prop::collection::vec(any::<u8>(), 0..3).prop_map(|bytes| Literal::byte_string(&bytes)),
    ]
    .prop_map(TokenTree::Literal);
    if depth == 0 {
        return prop_oneof![4 => word, 3 => punct, 2 => literal].boxed();
    }
    let delimiter = prop::sample::select(vec![
        Delimiter::Parenthesis,
        Delimiter::Brace,
        Delimiter::Bracket,
        Delimiter::None,
    ]);
    let group = (delimiter, stream(depth - 1))
        .prop_map(|(delimiter, stream)| TokenTree::Group(Group::new(delimiter, stream)));
    prop_oneof![5 => word, 4 => punct, 2 => literal, 2 => group].boxed()
}

fn stream(depth: u32) -> BoxedStrategy<TokenStream> {
    prop::collection::vec(token(depth), 0..9).prop_map(|tokens| tokens.into_iter().collect()).boxed()
}

/// Well-formed inputs, to be broken at one place or two.
const GOOD: &[&str] = &[
    "\"a.b\", kind = client, fields(id, %x, a.b = 1, {K} = ?y), err = debug, parent = cx, links = l, scope = \"s\"",
    "name = f(x), root, leaf, returns = future, crate = ::telemetry",
    "topic = \"t\", context = link, parent_max_age = \"1h\", key = utf8(max = 64), headers(\"a\" = \"b\", \"c\")",
    "\"a\", fields(id), kind = client, async { x.await }",
    "pub async fn load<'a, T: A>(&'a self, #[message] id: T, Point { x, .. }: P) -> Result<impl A, E> where T: B { #![a] id }",
    "fn load(m: &OwnedMessage) -> Pin<Box<dyn Future<Output = u8> + Send + '_>> { Box::pin(async {}) }",
    "pub struct Order<T: A = B> where T: C { #[trace(headers)] headers: H, #[trace(traceparent)] p: Option<String> }",
    "#[kafka(topic = \"t\", codec = Json, event = \"e\", version = 2, content_type = \"c\")] #[serde(default = \"d\", tag = \"t\")] \
     struct Order<'a, T: A = B, const N: usize> { #[kafka(key, with = a::b)] id: Option<K>, \
     #[kafka(header = \"x\", baggage)] plan: Option<String>, #[kafka(header = \"y\")] y: Vec<Option<T>>, \
     #[kafka(timestamp)] at: i64, #[kafka(partition)] p: i32, #[kafka(trace)] trace: CreationContext, \
     #[kafka(headers)] rest: Headers, #[serde(rename = \"r\", skip)] amount: [T; N] }",
    "#[kafka(topic = TOPIC, codec = Raw)] struct Order { #[kafka(payload)] data: Vec<u8> }",
    "default unsafe extern \"C\" fn load() -> (impl Stream<Item = u8>) { 1 }",
];

/// One of the inputs, with tokens taken away, doubled or moved at any depth.
fn damaged() -> impl Strategy<Value = TokenStream> {
    (prop::sample::select(GOOD), prop::collection::vec((any::<u16>(), 0u8..4), 0..4)).prop_map(
        |(text, damages)| {
            let mut stream = super::tokens(text);
            for (at, how) in damages {
                let mut left = usize::from(at) % count(&stream).max(1);
                stream = damage(stream, &mut left, how);
            }
            stream
        },
    )
}

fn count(stream: &TokenStream) -> usize {
    let of = |token: TokenTree| match token {
        TokenTree::Group(group) => 1 + count(&group.stream()),
        _ => 1,
    };
    stream.clone().into_iter().map(of).sum()
}

fn damage(stream: TokenStream, left: &mut usize, how: u8) -> TokenStream {
    let mut out: Vec<TokenTree> = Vec::new();
    let mut done = false;
    for token in stream {
        if *left == 0 && !done {
            done = true;
            *left = usize::MAX;
            match how {
                0 => {}
                1 => out.extend([token.clone(), token]),
                2 => out.insert(0, token),
                _ => out.push(TokenTree::Group(Group::new(Delimiter::None, token.into()))),
            }
            continue;
        }
        *left = left.saturating_sub(usize::from(*left != usize::MAX));
        out.push(match token {
            TokenTree::Group(group) => {
                let mut inside = Group::new(group.delimiter(), damage(group.stream(), left, how));
                inside.set_span(group.span());
                TokenTree::Group(inside)
            }
            other => other,
        });
    }
    out.into_iter().collect()
}

fn expand_all(args: &TokenStream, item: &TokenStream) {
    let _ = crate::attribute::traced_span(args.clone(), item.clone());
    let _ = crate::attribute::kafka_consumer(args.clone(), item.clone());
    let _ = crate::attribute::kafka_producer(args.clone(), item.clone());
    let _ = crate::inline::span(args.clone());
    let _ = crate::inline::record(args.clone());
    let _ = crate::derive::trace_context(item.clone());
    let _ = crate::kafka_message::kafka_message(item.clone());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_tokens_give_an_expansion(args in stream(2), item in stream(3)) {
        expand_all(&args, &item);
    }

    #[test]
    fn damaged_input_gives_an_expansion(args in damaged(), item in damaged()) {
        expand_all(&args, &item);
    }

    // A function with any body at all keeps its body, token by token.
    #[test]
    fn any_body_survives(body in stream(3)) {
        let body = Group::new(Delimiter::Brace, body);
        let mut item = super::tokens("async fn load(id: u64) -> u8");
        item.extend([TokenTree::Group(body.clone())]);
        let expansion = crate::attribute::traced_span(TokenStream::new(), item).to_string();
        let starts_with_attribute = body.stream().to_string().starts_with("# !");
        prop_assert!(starts_with_attribute || expansion.contains(&body.to_string()), "{}", expansion);
    }
}
