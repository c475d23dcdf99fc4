//! Mistakes, collected so that a user sees all of them at once, and what to say about words people bring along.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::ToTokens;
use std::fmt::Display;

/// The mistakes found so far, in the order in which they were found.
#[derive(Default)]
pub(crate) struct Errors(Option<syn::Error>);

impl Errors {
    pub(crate) fn push(&mut self, error: syn::Error) {
        match &mut self.0 {
            Some(first) => first.combine(error),
            None => self.0 = Some(error),
        }
    }

    /// A mistake at `span`.
    pub(crate) fn at(&mut self, span: Span, message: impl Display) {
        self.push(syn::Error::new(span, message));
    }

    /// A mistake that covers all of `tokens`.
    pub(crate) fn over(&mut self, tokens: impl ToTokens, message: impl Display) {
        self.push(syn::Error::new_spanned(tokens, message));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// One `compile_error!` per mistake; nothing when there is none.
    pub(crate) fn into_tokens(self) -> TokenStream {
        self.0.map(|error| error.to_compile_error()).unwrap_or_default()
    }
}

/// The accepted words, for the end of a message: `` `name`, `kind` or `fields` ``.
pub(crate) fn one_of<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<&str> = words.into_iter().collect();
    let mut text = String::new();
    for (i, word) in words.iter().enumerate() {
        match i {
            0 => {}
            i if i + 1 == words.len() => text.push_str(" or "),
            _ => text.push_str(", "),
        }
        text.push('`');
        text.push_str(word);
        text.push('`');
    }
    text
}

/// Tokens as a person writes them: no space around `.`, `::` and inside parentheses.
pub(crate) fn as_written(tokens: impl ToTokens) -> String {
    let mut text = String::new();
    write_tokens(tokens.to_token_stream(), &mut text);
    text
}

fn write_tokens(tokens: TokenStream, text: &mut String) {
    use proc_macro2::{Delimiter, Spacing};
    let mut glued = true;
    for token in tokens {
        match token {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::None => ("", ""),
                };
                text.push_str(open);
                write_tokens(group.stream(), text);
                text.push_str(close);
                glued = false;
            }
            TokenTree::Punct(punct) => {
                let tight = matches!(
                    punct.as_char(),
                    '.' | ':' | '&' | '*' | '!' | '%' | '?' | ',' | '<' | '>' | '\''
                );
                if !tight && !glued {
                    text.push(' ');
                }
                text.push(punct.as_char());
                if punct.as_char() == ',' || (!tight && punct.spacing() == Spacing::Alone) {
                    text.push(' ');
                }
                glued = true;
            }
            other => {
                if !glued {
                    text.push(' ');
                }
                text.push_str(&other.to_string());
                glued = false;
            }
        }
    }
}

/// What to write instead of a word that other libraries accept; `None` when nobody is known to use it.
pub(crate) fn brought_along(word: &str) -> Option<&'static str> {
    Some(match word {
        "skip" | "skip_all" => {
            "no argument is recorded unless `fields(..)` names it; remove `skip` and `skip_all`"
        }
        "level" | "target" => "OpenTelemetry spans have no level; use `scope = ..` or a sampler",
        "ret" => "return values are not recorded; use `throughline::record!(..)` in the body",
        "follows_from" => "write `links = ..`",
        "properties" | "attributes" | "attrs" | "tags" => "write `fields(..)`",
        "enter_on_poll" => "not needed: one span covers all polls; remove `enter_on_poll`",
        "short_name" => "not needed: the span is named after the function; remove `short_name`",
        "span_kind" | "otel" => "write `kind = client`, or another of the five kinds",
        "new_trace" | "new_root" => "write `root`",
        "rename" | "span_name" => "write `name = ..`, or the name as a string literal in the first place",
        _ => return None,
    })
}

/// The known word nearest to `typed`, when it is near enough to be meant.
pub(crate) fn nearest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|word| (distance(typed, word), word))
        .filter(|(distance, word)| *distance <= word.len().div_ceil(3))
        .min()
        .map(|(_, word)| word)
}

/// Levenshtein's distance in bytes; words of arguments are ASCII.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, y) in row.iter_mut().skip(1).zip(b.bytes()) {
            let next = (diagonal + usize::from(x != y)).min(left + 1).min(*cell + 1);
            diagonal = *cell;
            *cell = next;
            left = next;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_word_is_found() {
        assert_eq!(nearest("knd", ["name", "kind", "links"]), Some("kind"));
        assert_eq!(nearest("filds", ["name", "fields", "links"]), Some("fields"));
        assert_eq!(nearest("colour", ["name", "kind", "links"]), None);
    }

    #[test]
    fn distance_counts_edits() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "abc"), 0);
    }

    #[test]
    fn tokens_read_as_typed() {
        let text = |s: &str| as_written(s.parse::<TokenStream>().unwrap());
        assert_eq!(text("self . order . id"), "self.order.id");
        assert_eq!(text("a::b(x, y)"), "a::b(x, y)");
        assert_eq!(text("x + 1"), "x + 1");
    }
}
