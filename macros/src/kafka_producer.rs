//! `#[kafka_producer]`: its own words, where the context goes, and the calls round the body.

use crate::args::Args;
use crate::error::Errors;
use crate::expand::private_at;
use crate::item::{Function, Returned, first_type, nameable, peel};
use crate::kafka;
use crate::words::{self, Form, Grammar, Word, choice, words};
use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::parse::ParseStream;
use syn::{FnArg, Pat, Type};

/// The marker of the headers among the parameters; an expansion takes it away.
const MARKER: &str = "headers";

const RECORD_TYPES: [&str; 4] = ["FutureRecord", "BaseRecord", "Record", "Created"];
const HEADER_TYPES: [&str; 2] = ["OwnedHeaders", "Headers"];

pub(crate) const KAFKA_PRODUCER: Grammar = Grammar {
    operand: false,
    words: words![
        "name" Value(words::name): "write `name = EXPR`",
        "fields" List(words::fields): "write `fields(..)`",
        "err" Value(words::err): "errors are recorded by their type; remove `err`, or write `err = debug`",
        "links" Value(words::links): "write `links = EXPR`",
        "scope" Value(words::scope): "write `scope = EXPR`",
        "returns" Value(words::returns): "write `returns = future`",
        "crate" Value(words::krate): "write `crate = PATH`",
        "topic" Value(kafka::topic): "write `topic = \"orders\"`",
        "client_id" Value(kafka::client_id): "write `client_id = \"shop-1\"`",
        "template" Value(kafka::template): "write `template = \"orders.{tenant}\"`",
        "operation" Value(kafka::operation): "write `operation = \"send\"`",
        "existing" Value(existing): "write `existing = keep`",
        "key" Value(kafka::key): "write `key = utf8(max = 64)`, `key = off` or `key = with(path)`",
        "headers" List(kafka::headers): "write `headers(\"x-tenant\" = \"app.tenant\", \"x-flow\")`",
        "message_id" Value(kafka::message_id): "write `message_id = \"x-message-id\"`",
        "conversation_id" Value(kafka::conversation_id): "write `conversation_id = \"x-conversation-id\"`",
        "metrics" Value(kafka::metrics): "write `metrics = off`",
        "sizes" Value(kafka::sizes): "write `sizes = on`",
        "kind" Refused: "the kind follows from whose context the record carries; remove `kind`",
        "parent" Refused: "the span is a child of the one that is active; remove `parent`",
        "root" Refused: "the span is a child of the one that is active; remove `root`",
        "leaf" Refused: "a producer's span must be seen by others; remove `leaf`",
        "group" Refused: "a producer has no group; remove `group`",
        "context" Refused: "a producer continues the span that is active; remove `context`, or write `existing = keep`",
        "parent_max_age" Refused: "a producer continues the span that is active; remove `parent_max_age`",
        "queue_time" Refused: "a record that is being sent has waited nowhere; remove `queue_time`",
        "baggage" Refused: "baggage goes with the context; remove `baggage`",
        "run" Refused: "a producer has no runner; remove `run`",
    ],
};

fn existing(args: &mut Args, input: ParseStream<'_>) -> syn::Result<()> {
    let value = choice(input, "existing", &[("replace", "Replace"), ("keep", "Keep")])?;
    args.kafka.push_existing(value);
    Ok(())
}

/// What the expansion of a producer is made of.
pub(crate) struct Producer {
    /// `RT::kafka::InRecord(&mut record)` or `RT::kafka::InHeaders(&mut headers)`.
    parameter: Option<TokenStream>,
    options: TokenStream,
}

/// The parameter into which the context goes.
struct Parameter<'f> {
    name: &'f Ident,
    is_record: bool,
    /// It is a `&mut` already.
    is_reference: bool,
}

impl Producer {
    /// `None`: the function cannot be wrapped, and the mistake is in `errors`.
    pub(crate) fn of(
        args: &Args,
        function: &Function,
        rt: &TokenStream,
        errors: &mut Errors,
    ) -> Option<Self> {
        if let Some(several) = several(&returned_value(function)) {
            errors.over(
                several,
                "several records have no one creation context; send them together with `TracedProducer::send_batch`",
            );
            return None;
        }
        match function.returned() {
            Returned::Never => {
                errors.at(
                    function.return_span(),
                    "a function that never returns sends nothing; remove `#[kafka_producer]`",
                );
                return None;
            }
            Returned::Stream { ty, .. } => {
                errors.over(ty, "the items of a stream have no one span; put `#[kafka_producer]` on what sends each of them");
                return None;
            }
            _ => {}
        }
        let parameter = match parameter(function, errors)? {
            Some(Parameter { name, is_record, is_reference }) => {
                let rt = private_at(args, name.span());
                let at = Span::mixed_site().located_at(name.span());
                let into = Ident::new(if is_record { "InRecord" } else { "InHeaders" }, at);
                let place = if is_reference {
                    quote_spanned!(at=> &mut *#name)
                } else {
                    quote_spanned!(at=> &mut #name)
                };
                quote_spanned!(at=> #rt::kafka::#into(#place))
            }
            None => {
                return Some(Producer {
                    parameter: None,
                    options: kafka::options(args, rt, "ProducerOptions"),
                });
            }
        };
        Some(Producer { parameter: Some(parameter), options: kafka::options(args, rt, "ProducerOptions") })
    }

    /// `RT::kafka::open_produce(&mut span, &mut producing, PARAMETER, CREATES, || OPTIONS)`
    pub(crate) fn condition(
        &self,
        rt: &TokenStream,
        function: Option<&Function>,
        span: &Ident,
        producing: &Ident,
    ) -> TokenStream {
        let Producer { parameter, options } = self;
        let (parameter, creates) = match parameter {
            // What is taken is sent, whatever is returned.
            Some(parameter) => (parameter.clone(), quote!(false)),
            None => (quote!(()), creates(rt, function)),
        };
        quote!(#rt::kafka::open_produce(&mut #span, &mut #producing, #parameter, #creates, || #options))
    }
}

/// Whether the returned type is a message, which the compiler knows and the macro does not.
fn creates(rt: &TokenStream, function: Option<&Function>) -> TokenStream {
    let ty = function.map(returned_value).and_then(|ty| match ty {
        Some(ty) if !has_infer(&ty) => Some(ty),
        _ => None,
    });
    match ty {
        Some(ty) => quote!({ use #rt::kafka::look::*; (&&&&#rt::kafka::TypeOf::<#ty>::new()).creates() }),
        None => quote!(false),
    }
}

/// What is made of the returned value: `LOOK`.
pub(crate) fn look(rt: &TokenStream, function: &Function) -> TokenStream {
    if function.returns_nothing() {
        return quote!(|_, _| ::core::option::Option::None);
    }
    let value = Ident::new("value", Span::mixed_site());
    let cx = Ident::new("cx", Span::mixed_site());
    quote!(|#value, #cx| {
        use #rt::kafka::look::*;
        if let ::core::option::Option::Some(#cx) = #cx {
            (&&&&#rt::kafka::Made::new(&mut *#value)).write(#cx);
        }
        (&&&&#rt::kafka::Placed(&*#value)).place()
    })
}

/// The type of the value that comes out in the end.
fn returned_value(function: &Function) -> Option<Type> {
    match function.returned() {
        Returned::Value(ty) => Some(nameable(&ty)),
        Returned::Future { output, .. } => output.map(|ty| nameable(&ty)),
        Returned::Nothing | Returned::Never | Returned::Stream { .. } => None,
    }
}

fn has_infer(ty: &Type) -> bool {
    fn in_tokens(tokens: TokenStream) -> bool {
        tokens.into_iter().any(|token| match token {
            proc_macro2::TokenTree::Ident(ident) => ident == "_",
            proc_macro2::TokenTree::Punct(_) | proc_macro2::TokenTree::Literal(_) => false,
            proc_macro2::TokenTree::Group(group) => in_tokens(group.stream()),
        })
    }
    in_tokens(quote!(#ty))
}

/// The `Vec` of records in a returned type.
fn several(ty: &Option<Type>) -> Option<&Type> {
    let mut ty = peel(ty.as_ref()?);
    loop {
        let last = last_segment(ty)?;
        let first = first_type(&last.arguments);
        match last.ident.to_string().as_str() {
            "Option" | "Result" => ty = peel(first?),
            "Vec" => return named(first?, &RECORD_TYPES).then_some(ty),
            _ => return None,
        }
    }
}

fn last_segment(ty: &Type) -> Option<&syn::PathSegment> {
    match ty {
        Type::Path(path) => path.path.segments.last(),
        _ => None,
    }
}

fn named(ty: &Type, names: &[&str]) -> bool {
    last_segment(peel(ty)).is_some_and(|last| names.iter().any(|name| last.ident == name))
}

/// Finds where the context goes: the marked parameter, else the only one of a known type that can be written to. The
/// outer `None`: a mistake.
#[allow(clippy::option_option, reason = "no parameter is a shape of its own")]
fn parameter<'f>(function: &'f Function, errors: &mut Errors) -> Option<Option<Parameter<'f>>> {
    let is_known = |ty: &Type| !is_shared(ty) && is_known(ty);
    let mistakes = [
        "two parameters are marked `#[headers]`; keep one of them",
        "two parameters are records or headers; mark the one that is sent with `#[headers]`",
    ];
    let Some(found) = kafka::parameter(function, is_marker, is_known, mistakes, errors)? else {
        return Some(None);
    };
    if is_shared(&found.ty) {
        errors.over(&found.ty, "the context is written into the headers; take `&mut`, or the value itself");
        return None;
    }
    match &*found.pat {
        Pat::Ident(pat) if pat.subpat.is_none() => {
            let is_reference = matches!(peel(&found.ty), Type::Reference(_));
            let inner = match peel(&found.ty) {
                Type::Reference(reference) => &reference.elem,
                _ => &found.ty,
            };
            Some(Some(Parameter { name: &pat.ident, is_record: named(inner, &RECORD_TYPES), is_reference }))
        }
        other => {
            errors.over(other, "the record needs a name; write `record` here and take it apart in the body");
            None
        }
    }
}

fn is_shared(ty: &Type) -> bool {
    matches!(peel(ty), Type::Reference(reference) if reference.mutability.is_none())
}

fn is_known(ty: &Type) -> bool {
    let inner = match peel(ty) {
        Type::Reference(reference) => &reference.elem,
        other => other,
    };
    named(inner, &RECORD_TYPES) || named(inner, &HEADER_TYPES)
}

/// The function's tokens before the body: without the marker, and with a record that is taken by value as `mut`, since
/// the context is written into it.
pub(crate) fn head(function: &Function) -> TokenStream {
    let mut sig = function.sig.clone();
    let mut changed = false;
    let found = parameter(function, &mut Errors::default()).flatten();
    for input in &mut sig.inputs {
        let FnArg::Typed(arg) = input else { continue };
        changed |= arg.attrs.iter().any(is_marker);
        arg.attrs.retain(|attr| !is_marker(attr));
        if let (Pat::Ident(pat), Some(found)) = (&mut *arg.pat, &found)
            && pat.ident == *found.name
            && !found.is_reference
            && pat.by_ref.is_none()
            && pat.mutability.is_none()
        {
            pat.mutability = Some(syn::Token![mut](Span::mixed_site().located_at(pat.ident.span())));
            changed = true;
        }
    }
    if !changed {
        return function.head.clone();
    }
    let (attrs, vis, defaultness) = (&function.attrs, &function.vis, &function.defaultness);
    quote!(#(#attrs)* #vis #defaultness #sig)
}

/// The function's tokens before the body, without the marker, for a function that is not wrapped.
pub(crate) fn head_without_marker(function: &Function) -> TokenStream {
    kafka::head_without(function, is_marker)
}

pub(crate) fn is_marked(function: &Function) -> bool {
    kafka::is_marked_by(function, is_marker)
}

fn is_marker(attr: &syn::Attribute) -> bool {
    attr.path().is_ident(MARKER)
}
