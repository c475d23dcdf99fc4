//! The arguments on the struct: `#[kafka(topic = "orders", codec = Json, event = "order.placed", ..)]`.

use proc_macro2::Ident;
use syn::ext::IdentExt as _;
use syn::parse::ParseStream;
use syn::{Expr, Lit, LitInt, LitStr, Path, Token};

use super::Settings;
use super::field::PARTS;
use crate::error::{nearest, one_of};
use crate::fragments::expression;

const WORDS: [&str; 5] = ["topic", "codec", "event", "version", "content_type"];

/// Longest name of a topic, in bytes.
const MAX_TOPIC_BYTES: usize = 249;

pub(super) fn argument(settings: &mut Settings, input: ParseStream<'_>) -> syn::Result<()> {
    let word = input
        .call(Ident::parse_any)
        .map_err(|error| syn::Error::new(error.span(), format!("expected {}", one_of(WORDS))))?;
    let text = word.unraw().to_string();
    let example = match text.as_str() {
        "topic" => "write `topic = \"orders\"`",
        "codec" => {
            "write `codec = Json`, `codec = Raw`, `codec = Protobuf` or the path of a type that implements `Codec`"
        }
        "event" => "write `event = \"order.placed\"`",
        "version" => "write `version = 2`",
        "content_type" => "write `content_type = \"application/json\"`",
        _ => return Err(unknown(&word, &text)),
    };
    if !input.peek(Token![=]) || input.peek(Token![==]) {
        return Err(syn::Error::new(word.span(), example));
    }
    input.parse::<Token![=]>()?;
    let at = if input.is_empty() { word.span() } else { input.span() };
    let wrong = |_| syn::Error::new(at, example);
    match text.as_str() {
        "topic" => once(&mut settings.topic, topic(expression(input).map_err(wrong)?)?, &word),
        "codec" => once(&mut settings.codec, input.call(Path::parse_mod_style).map_err(wrong)?, &word),
        "event" => once(&mut settings.event, not_empty(input.parse().map_err(wrong)?, &text)?, &word),
        "version" => once(&mut settings.version, not_empty(version(input).map_err(wrong)?, &text)?, &word),
        _ => once(&mut settings.content_type, not_empty(input.parse().map_err(wrong)?, &text)?, &word),
    }
}

fn once<T>(setting: &mut Option<T>, value: T, word: &Ident) -> syn::Result<()> {
    match setting.replace(value) {
        Some(_) => Err(syn::Error::new(word.span(), format!("`{word}` is given twice; keep one of them"))),
        None => Ok(()),
    }
}

fn unknown(word: &Ident, text: &str) -> syn::Error {
    let message = match text {
        part if PARTS.contains(&part) || part == "with" || part == "baggage" => {
            format!("`{text}` says what a field is; write `#[kafka({text})]` on the field")
        }
        "name" | "destination" | "queue" => "write `topic = \"orders\"`".to_owned(),
        "format" | "serde" | "encoding" => "write `codec = Json`".to_owned(),
        "rename_all" | "deny_unknown_fields" | "default" => {
            format!("the body is written by serde; write `#[serde({text} ..)]`")
        }
        _ => {
            let hint =
                nearest(text, WORDS).map(|word| format!(" (did you mean `{word}`?)")).unwrap_or_default();
            format!("unknown argument `{text}`{hint}; expected {}", one_of(WORDS))
        }
    };
    syn::Error::new(word.span(), message)
}

/// A literal is checked here; the value of a constant by the compiler, in `derived::topic`.
fn topic(topic: Expr) -> syn::Result<Expr> {
    let illegal = |message: String| Err(syn::Error::new_spanned(&topic, message));
    match &topic {
        Expr::Lit(syn::ExprLit { lit: Lit::Str(literal), .. }) => {
            let name = literal.value();
            let character =
                name.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')));
            if name.is_empty() {
                return illegal(
                    "the topic is empty; write its name, such as `topic = \"orders\"`".to_owned(),
                );
            }
            if name == "." || name == ".." {
                return illegal(format!("no topic is called `{name}`"));
            }
            if let Some(character) = character {
                return illegal(format!(
                    "`{}` cannot be in a topic's name; it is made of a-z, A-Z, 0-9, `.`, `_` and `-`",
                    character.escape_default()
                ));
            }
            if name.len() > MAX_TOPIC_BYTES {
                return illegal(format!(
                    "the topic's name has {} characters; the longest has {MAX_TOPIC_BYTES}",
                    name.len()
                ));
            }
        }
        Expr::Path(_) => {}
        _ => {
            return illegal("write the topic as a string literal or the path of a constant".to_owned());
        }
    }
    Ok(topic)
}

fn not_empty(value: LitStr, word: &str) -> syn::Result<LitStr> {
    if value.value().is_empty() {
        let message = format!("`{word}` is empty; remove it, or write what it is");
        return Err(syn::Error::new(value.span(), message));
    }
    Ok(value)
}

/// A number or a text, as text.
fn version(input: ParseStream<'_>) -> syn::Result<LitStr> {
    let Ok(number) = input.fork().parse::<LitInt>() else { return input.parse() };
    if !number.suffix().is_empty() {
        return Err(input.error(""));
    }
    input.parse::<LitInt>()?;
    Ok(LitStr::new(number.base10_digits(), number.span()))
}
