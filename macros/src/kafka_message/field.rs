//! The arguments on a field: `#[kafka(key)]`, `#[kafka(header = "x-tenant", with = path)]` and the others.

use proc_macro2::{Ident, Span};
use syn::ext::IdentExt as _;
use syn::parse::ParseStream;
use syn::{LitStr, Path, Token};

use super::Role;
use crate::error::{Errors, nearest, one_of};

/// The parts of a record that a field can be.
pub(super) const PARTS: [&str; 7] =
    ["key", "header", "timestamp", "partition", "trace", "headers", "payload"];

const WORDS: [&str; 9] =
    ["key", "header", "timestamp", "partition", "trace", "headers", "payload", "with", "baggage"];

/// What a field's attributes say, before it is known whether it fits together.
#[derive(Default)]
pub(super) struct Marks {
    part: Option<(Ident, Option<LitStr>)>,
    with: Option<(Span, Path)>,
    baggage: Option<Span>,
    /// Whether an attribute stands there at all, however wrong: such a field is not taken for one of the body.
    pub(super) seen: bool,
}

pub(super) fn argument(marks: &mut Marks, input: ParseStream<'_>, errors: &mut Errors) -> syn::Result<()> {
    let word = input
        .call(Ident::parse_any)
        .map_err(|error| syn::Error::new(error.span(), format!("expected {}", one_of(WORDS))))?;
    let text = word.unraw().to_string();
    match text.as_str() {
        "header" => {
            let name = header_name(&word, input)?;
            part(marks, word, Some(name), errors);
        }
        "with" => {
            let example = "write `with = path`, where `path` has the functions `to_bytes` and `from_bytes`";
            let path = value(&word, input, example)?;
            if marks.with.replace((word.span(), path)).is_some() {
                errors.at(word.span(), "`with` is given twice; keep one of them");
            }
        }
        "baggage" => {
            flag(&word, input)?;
            if marks.baggage.replace(word.span()).is_some() {
                errors.at(word.span(), "`baggage` is given twice; keep one of them");
            }
        }
        text if PARTS.contains(&text) => {
            flag(&word, input)?;
            part(marks, word, None, errors);
        }
        _ => return Err(unknown(&word, &text)),
    }
    Ok(())
}

fn part(marks: &mut Marks, word: Ident, header: Option<LitStr>, errors: &mut Errors) {
    match &marks.part {
        Some((first, _)) if *first == word => {
            errors.at(word.span(), format_args!("`{word}` is given twice; keep one of them"));
        }
        Some((first, _)) => {
            let message = format!(
                "this field is the record's `{first}`; one field is one part, so give `{word}` a field of its own"
            );
            errors.at(word.span(), message);
        }
        None => marks.part = Some((word, header)),
    }
}

fn header_name(word: &Ident, input: ParseStream<'_>) -> syn::Result<LitStr> {
    const EXAMPLE: &str = "write the header's name, such as `header = \"x-tenant\"`";
    let name: LitStr = value(word, input, EXAMPLE)?;
    let text = name.value();
    if text.is_empty() {
        return Err(syn::Error::new(name.span(), "the header's name is empty"));
    }
    if text.contains('\0') {
        return Err(syn::Error::new(name.span(), "librdkafka cuts the name of a header at a NUL; remove it"));
    }
    if let Some(why) = reserved(&text) {
        return Err(syn::Error::new(name.span(), format!("the header `{text}` is reserved: {why}")));
    }
    Ok(name)
}

/// Headers by which tracers know one another: a field of that name would forge them.
fn reserved(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    let others = matches!(name.as_str(), "b3" | "uber-trace-id" | "elasticapmtraceparent")
        || name.starts_with("x-b3-")
        || name.starts_with("x-datadog-");
    match name.as_str() {
        "traceparent" | "tracestate" => Some(
            "the propagator writes it; for the trace, mark a field of type `CreationContext` `#[kafka(trace)]`",
        ),
        "baggage" => Some(
            "the propagator writes it; for one of its entries, write `#[kafka(header = \"x-plan\", baggage)]`",
        ),
        _ => others.then_some("tracers write it; choose another name"),
    }
}

/// What follows `word =`.
fn value<T: syn::parse::Parse>(word: &Ident, input: ParseStream<'_>, example: &str) -> syn::Result<T> {
    if !input.peek(Token![=]) || input.peek(Token![==]) {
        return Err(syn::Error::new(word.span(), example));
    }
    input.parse::<Token![=]>()?;
    let at = if input.is_empty() { word.span() } else { input.span() };
    input.parse().map_err(|_| syn::Error::new(at, example))
}

fn flag(word: &Ident, input: ParseStream<'_>) -> syn::Result<()> {
    if input.is_empty() || input.peek(Token![,]) {
        return Ok(());
    }
    Err(syn::Error::new(word.span(), format!("`{word}` takes no value; write `#[kafka({word})]`")))
}

fn unknown(word: &Ident, text: &str) -> syn::Error {
    let message = match text {
        "topic" | "codec" | "event" | "version" | "content_type" => {
            format!("`{text}` is about the whole message; write it on the struct")
        }
        "body" | "value" => "fields without `#[kafka(..)]` are the body; remove the mark, or write \
                             `#[kafka(payload)]` if the field is all of it"
            .to_owned(),
        "skip" | "rename" | "default" | "flatten" => {
            format!("the body is written by serde; write `#[serde({text} ..)]`")
        }
        "headers_all" | "rest" => "write `#[kafka(headers)]`".to_owned(),
        "traceparent" | "tracestate" => {
            "write `#[kafka(trace)]` on a field of type `CreationContext`".to_owned()
        }
        _ => {
            let hint =
                nearest(text, WORDS).map(|word| format!(" (did you mean `{word}`?)")).unwrap_or_default();
            format!("unknown argument `{text}`{hint}; expected {}", one_of(WORDS))
        }
    };
    syn::Error::new(word.span(), message)
}

impl Marks {
    /// What the field is. Marks that do not go together are told.
    pub(super) fn into_role(self, errors: &mut Errors) -> Role {
        let Marks { part, with, baggage, seen } = self;
        let text = part.as_ref().map(|(word, _)| word.to_string()).unwrap_or_default();
        if let Some((at, _)) = &with
            && !matches!(text.as_str(), "key" | "header")
        {
            errors.at(*at, "`with` goes with `key` or `header`; name one of them on this field");
        }
        if let Some(at) = baggage
            && text != "header"
        {
            errors.at(at, "`baggage` goes with a header; write `#[kafka(header = \"x-plan\", baggage)]`");
        }
        if let (Some((at, _)), Some(_)) = (&with, baggage) {
            errors.at(*at, "baggage holds strings as they are; remove `with`, or remove `baggage`");
        }
        let with = with.map(|(_, path)| path);
        match part {
            // Its mistake is told; as a body field it would cause others.
            None if seen => Role::Skipped,
            None => Role::Body,
            Some((word, header)) => match (text.as_str(), header) {
                ("header", Some(name)) => Role::Header { name, with, baggage },
                ("key", _) => Role::Key { with, at: word.span() },
                ("timestamp", _) => Role::Timestamp(word.span()),
                ("partition", _) => Role::Partition(word.span()),
                ("trace", _) => Role::Trace(word.span()),
                ("headers", _) => Role::Headers(word.span()),
                _ => Role::Payload(word.span()),
            },
        }
    }
}
