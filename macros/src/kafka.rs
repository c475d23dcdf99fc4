//! `#[kafka_consumer]`: its own words, which parameter is the message, and the call that opens its span.

use crate::args::{self, Args, Name};
use crate::error::{Errors, as_written, one_of};
use crate::expand::{Opening, call_at};
use crate::fragments::expression;
use crate::item::{Function, peel};
use crate::run;
use crate::words::{self, Form, Grammar, Word, choice, words};
use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::{ToTokens as _, quote};
use syn::ext::IdentExt as _;
use syn::parse::ParseStream;
use syn::{Expr, FnArg, GenericArgument, LitInt, LitStr, Pat, PatType, Path, PathArguments, Token, Type};

/// The marker of the message among the parameters; the only attribute that an expansion takes away.
const MARKER: &str = "message";

const MESSAGE_TYPES: [&str; 4] = ["BorrowedMessage", "OwnedMessage", "Received", "Record"];

/// Arguments that only a consumer has, in the order in which they were written.
#[derive(Default)]
pub(crate) struct KafkaArgs(Vec<Setting>);

enum Setting {
    Text(&'static str, Expr),
    Context(&'static str),
    /// Milliseconds; `None` is no limit.
    MaxAge(Option<u64>),
    KeyOff,
    KeyUtf8(LitInt),
    KeyWith(Path),
    Headers(Vec<(LitStr, LitStr)>),
    Header(&'static str, LitStr),
    Switch(&'static str, bool),
    Existing(&'static str),
}

impl KafkaArgs {
    pub(crate) fn push_existing(&mut self, existing: &'static str) {
        self.0.push(Setting::Existing(existing));
    }
}

pub(crate) const KAFKA_CONSUMER: Grammar = Grammar {
    operand: false,
    words: words![
        "name" Value(words::name): "write `name = EXPR`",
        "fields" List(words::fields): "write `fields(..)`",
        "err" Value(words::err): "errors are recorded by their type; remove `err`, or write `err = debug`",
        "links" Value(words::links): "write `links = EXPR`",
        "scope" Value(words::scope): "write `scope = EXPR`",
        "returns" Value(words::returns): "write `returns = future`",
        "crate" Value(words::krate): "write `crate = PATH`",
        "topic" Value(topic): "write `topic = \"orders\"`",
        "group" Value(group): "write `group = \"billing\"`",
        "client_id" Value(client_id): "write `client_id = \"billing-1\"`",
        "template" Value(template): "write `template = \"orders.{tenant}\"`",
        "operation" Value(operation): "write `operation = \"process\"`",
        "context" Value(context): "write `context = parent`",
        "parent_max_age" Value(parent_max_age): "write `parent_max_age = \"1h\"`",
        "key" Value(key): "write `key = utf8(max = 64)`, `key = off` or `key = with(path)`",
        "headers" List(headers): "write `headers(\"x-tenant\" = \"app.tenant\", \"x-flow\")`",
        "message_id" Value(message_id): "write `message_id = \"x-message-id\"`",
        "conversation_id" Value(conversation_id): "write `conversation_id = \"x-conversation-id\"`",
        "baggage" Value(baggage): "write `baggage = off`",
        "queue_time" Value(queue_time): "write `queue_time = off`",
        "metrics" Value(metrics): "write `metrics = off`",
        "sizes" Value(sizes): "write `sizes = on`",
        "kind" Refused: "a consumer's span has the kind `consumer`; remove `kind`",
        "parent" Refused: "the message says whose child the span is; write `context = link` or another of the four ways",
        "root" Refused: "the message says whose child the span is; write `context = new_root`",
        "leaf" Refused: "a consumer's span must be seen by others; remove `leaf`",
        "run" List(run::run): "write `run(group = \"billing\")`",
    ],
};

macro_rules! texts {
    ($($word:ident)*) => {
        $(pub(crate) fn $word(args: &mut Args, input: ParseStream<'_>) -> syn::Result<()> {
            let value = not_empty(expression(input)?, stringify!($word))?;
            args.kafka.0.push(Setting::Text(stringify!($word), value));
            Ok(())
        })*
    };
}
texts!(topic group client_id template operation);

macro_rules! header_names {
    ($($word:ident)*) => {
        $(pub(crate) fn $word(args: &mut Args, input: ParseStream<'_>) -> syn::Result<()> {
            let header = header_name(input)?;
            args.kafka.0.push(Setting::Header(stringify!($word), header));
            Ok(())
        })*
    };
}
header_names!(message_id conversation_id);

macro_rules! switches {
    ($($word:ident)*) => {
        $(pub(crate) fn $word(args: &mut Args, input: ParseStream<'_>) -> syn::Result<()> {
            let on = choice(input, stringify!($word), &[("on", true), ("off", false)])?;
            args.kafka.0.push(Setting::Switch(stringify!($word), on));
            Ok(())
        })*
    };
}
switches!(queue_time metrics sizes);

pub(crate) fn not_empty(value: Expr, word: &str) -> syn::Result<Expr> {
    if let Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(literal), .. }) = &value
        && literal.value().is_empty()
    {
        return Err(syn::Error::new(
            literal.span(),
            format!("`{word}` is empty; remove it, or write what it is"),
        ));
    }
    Ok(value)
}

fn header_name(input: ParseStream<'_>) -> syn::Result<LitStr> {
    let header: LitStr = input.parse().map_err(|error| {
        syn::Error::new(
            error.span(),
            "expected the name of a header as a string literal, such as `\"x-message-id\"`",
        )
    })?;
    if header.value().is_empty() {
        return Err(syn::Error::new(header.span(), "the header's name is empty"));
    }
    Ok(header)
}

fn baggage(args: &mut Args, input: ParseStream<'_>) -> syn::Result<()> {
    let attach = choice(input, "baggage", &[("attach", true), ("off", false)])?;
    args.kafka.0.push(Setting::Switch("baggage", attach));
    Ok(())
}

fn context(args: &mut Args, input: ParseStream<'_>) -> syn::Result<()> {
    let modes =
        [("parent_or_link", "ParentOrLink"), ("link", "Link"), ("parent", "Parent"), ("new_root", "NewRoot")];
    args.kafka.0.push(Setting::Context(choice(input, "context", &modes)?));
    Ok(())
}

fn parent_max_age(args: &mut Args, input: ParseStream<'_>) -> syn::Result<()> {
    let value = expression(input)?;
    let age = match &value {
        Expr::Path(path) if path.path.is_ident("none") => Some(None),
        Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => milliseconds(&text.value()).map(Some),
        _ => None,
    };
    let Some(age) = age else {
        let message = format!(
            "`{}` is no duration; write `\"30s\"`, `\"15m\"`, `\"1h\"`, `\"7d\"` or `none`",
            as_written(&value)
        );
        return Err(syn::Error::new_spanned(value, message));
    };
    args.kafka.0.push(Setting::MaxAge(age));
    Ok(())
}

pub(crate) fn milliseconds(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(digits)?;
    let unit = match unit.trim_start() {
        "ms" => 1,
        "s" => 1000,
        "m" => 60 * 1000,
        "h" => 60 * 60 * 1000,
        "d" => 24 * 60 * 60 * 1000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

pub(crate) fn key(args: &mut Args, input: ParseStream<'_>) -> syn::Result<()> {
    const WORDS: [&str; 3] = ["utf8(max = 64)", "off", "with(path)"];
    let word = input
        .call(Ident::parse_any)
        .map_err(|error| syn::Error::new(error.span(), format!("expected {}", one_of(WORDS))))?;
    let setting = match word.to_string().as_str() {
        "off" => Setting::KeyOff,
        "utf8" if !input.peek(syn::token::Paren) => Setting::KeyUtf8(LitInt::new("64", word.span())),
        "utf8" => {
            let content;
            syn::parenthesized!(content in input);
            Setting::KeyUtf8(whole(&content, key_length)?)
        }
        "with" if input.peek(syn::token::Paren) => {
            let content;
            syn::parenthesized!(content in input);
            Setting::KeyWith(whole(&content, key_function)?)
        }
        other => {
            return Err(syn::Error::new(
                word.span(),
                format!("unknown key `{other}`; expected {}", one_of(WORDS)),
            ));
        }
    };
    args.kafka.0.push(setting);
    Ok(())
}

/// What `read` makes of the whole content; nothing is left over that syn would report besides.
fn whole<T>(content: ParseStream<'_>, read: fn(ParseStream<'_>) -> syn::Result<T>) -> syn::Result<T> {
    let value = read(content);
    content.parse::<TokenStream>()?;
    value
}

fn key_length(content: ParseStream<'_>) -> syn::Result<LitInt> {
    let at = content.span();
    let wrong = |_| syn::Error::new(at, "write the greatest length in bytes, such as `key = utf8(max = 64)`");
    let word = content.call(Ident::parse_any).map_err(wrong)?;
    content.parse::<Token![=]>().map_err(wrong)?;
    let max: LitInt = content.parse().map_err(wrong)?;
    if word != "max"
        || !max.suffix().is_empty()
        || max.base10_parse::<usize>().is_err()
        || !content.is_empty()
    {
        return Err(wrong(content.error("")));
    }
    Ok(max)
}

fn key_function(content: ParseStream<'_>) -> syn::Result<Path> {
    let at = content.span();
    let wrong = |_| syn::Error::new(at, "write `with(path)`, the path of a `fn(&[u8]) -> Option<String>`");
    let path = content.call(Path::parse_mod_style).map_err(wrong)?;
    if content.is_empty() { Ok(path) } else { Err(wrong(content.error(""))) }
}

pub(crate) fn headers(args: &mut Args, input: ParseStream<'_>, errors: &mut Errors) {
    let mut captured: Vec<(LitStr, LitStr)> = Vec::new();
    while !input.is_empty() {
        match captured_header(input) {
            Ok((header, attribute)) => {
                let again =
                    captured.iter().any(|(other, _)| other.value().eq_ignore_ascii_case(&header.value()));
                if again {
                    errors.over(
                        &header,
                        format_args!("the header `{}` is captured twice; keep one of them", header.value()),
                    );
                } else {
                    captured.push((header, attribute));
                }
                if !input.is_empty() && !input.peek(Token![,]) {
                    errors.at(input.span(), "expected `,` between two headers");
                    args::skip_to_comma(input);
                }
            }
            Err(error) => {
                errors.push(error);
                args::skip_to_comma(input);
            }
        }
        // Only a comma can stand here, or the end.
        let _ = input.parse::<Option<Token![,]>>();
    }
    args.kafka.0.push(Setting::Headers(captured));
}

fn captured_header(input: ParseStream<'_>) -> syn::Result<(LitStr, LitStr)> {
    let header = header_name(input)?;
    let attribute = if input.parse::<Token![=]>().is_ok() {
        let attribute: LitStr = input.parse().map_err(|error| {
            syn::Error::new(
                error.span(),
                "expected the attribute's key as a string literal, such as `\"app.tenant\"`",
            )
        })?;
        if attribute.value().is_empty() {
            return Err(syn::Error::new(attribute.span(), "the attribute's key is empty"));
        }
        attribute
    } else {
        let key = format!("throughline.messaging.header.{}", header.value().to_ascii_lowercase());
        LitStr::new(&key, header.span())
    };
    Ok((header, attribute))
}

/// How the span of this consumer opens; `None` when no parameter is the message, which is then in `errors`.
pub(crate) fn opening(
    args: &Args,
    function: &Function,
    rt: &TokenStream,
    errors: &mut Errors,
) -> Option<Opening> {
    let (message, batch) = message(args, function, errors)?;
    Some(Opening::Consumer { message, batch, options: options(args, rt, "ProcessOptions") })
}

/// Finds the message among the parameters: the marked one, else the only one of a known type. A handler of the runner may
/// take a struct, about which nothing can be told from here.
fn message(args: &Args, function: &Function, errors: &mut Errors) -> Option<(Option<Ident>, bool)> {
    let is_known = |ty: &Type| is_message(ty) || batch_of(ty).is_some_and(is_message);
    let mistakes = [
        "two parameters are marked `#[message]`; keep one of them",
        "two parameters are messages; mark the one to continue with `#[message]`",
    ];
    let Some(found) = parameter(function, is_marker, is_known, mistakes, errors)? else {
        let has_parameters = function.sig.inputs.iter().any(|input| matches!(input, FnArg::Typed(_)));
        if args.seen("run").is_some() && has_parameters {
            return Some((None, false));
        }
        let message = "no parameter is a message; mark it with `#[message]` (found without a mark: \
                       `BorrowedMessage`, `OwnedMessage`, `Record<T>`, and `&[M]` or `Vec<M>` of these)";
        errors.at(function.sig.ident.span(), message);
        return None;
    };
    match &*found.pat {
        Pat::Ident(pat) if pat.subpat.is_none() => {
            Some((Some(pat.ident.clone()), batch_of(&found.ty).is_some()))
        }
        other => {
            errors
                .over(other, "the message needs a name; write `message` here and take it apart in the body");
            None
        }
    }
}

/// The marked parameter, else the only one of a known type. The outer `None`: there are two, of which `mistakes` tells, for
/// marks and for types.
#[allow(clippy::option_option, reason = "no parameter is a shape of its own")]
pub(crate) fn parameter<'f>(
    function: &'f Function,
    is_marker: fn(&syn::Attribute) -> bool,
    is_known: impl Fn(&Type) -> bool,
    mistakes: [&str; 2],
    errors: &mut Errors,
) -> Option<Option<&'f PatType>> {
    let typed = || {
        function.sig.inputs.iter().filter_map(|input| match input {
            FnArg::Typed(arg) => Some(arg),
            FnArg::Receiver(_) => None,
        })
    };
    let marked: Vec<_> = typed().filter(|arg| arg.attrs.iter().any(is_marker)).collect();
    let by_type: Vec<_> = typed().filter(|arg| is_known(&arg.ty)).collect();
    let [two_marked, two_known] = mistakes;
    match (marked.as_slice(), by_type.as_slice()) {
        ([one], _) | ([], [one]) => Some(Some(one)),
        ([], []) => Some(None),
        ([_, second, ..], _) => {
            errors.over(second, two_marked);
            None
        }
        ([], [_, second, ..]) => {
            errors.over(second, two_known);
            None
        }
    }
}

fn is_message(ty: &Type) -> bool {
    match peel(ty) {
        Type::Reference(reference) => is_message(&reference.elem),
        Type::Path(path) => {
            path.path.segments.last().is_some_and(|last| MESSAGE_TYPES.iter().any(|name| last.ident == name))
        }
        _ => false,
    }
}

/// The element of `&[M]`, `Vec<M>` and references to them.
fn batch_of(ty: &Type) -> Option<&Type> {
    match peel(ty) {
        Type::Reference(reference) => match peel(&reference.elem) {
            Type::Slice(slice) => Some(&slice.elem),
            other => batch_of(other),
        },
        Type::Path(path) => {
            let last = path.path.segments.last()?;
            let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
            match arguments.args.first()? {
                GenericArgument::Type(element) if last.ident == "Vec" => Some(element),
                _ => None,
            }
        }
        _ => None,
    }
}

/// The function's tokens before the body, without the marker.
pub(crate) fn head_without_marker(function: &Function) -> TokenStream {
    head_without(function, is_marker)
}

/// The function's tokens before the body, without a marker.
pub(crate) fn head_without(function: &Function, is_marker: fn(&syn::Attribute) -> bool) -> TokenStream {
    if !is_marked_by(function, is_marker) {
        return function.head.clone();
    }
    let mut sig = function.sig.clone();
    for input in &mut sig.inputs {
        if let FnArg::Typed(arg) = input {
            arg.attrs.retain(|attr| !is_marker(attr));
        }
    }
    let (attrs, vis, defaultness) = (&function.attrs, &function.vis, &function.defaultness);
    quote!(#(#attrs)* #vis #defaultness #sig)
}

impl KafkaArgs {
    /// What was written for one of the words that take an expression.
    pub(crate) fn text(&self, word: &str) -> Option<&Expr> {
        self.0.iter().find_map(|setting| match setting {
            Setting::Text(name, value) if *name == word => Some(value),
            _ => None,
        })
    }
}

/// The options that hold for every call: what an expression makes of the parameters is left to the call.
pub(crate) fn constant_options(args: &Args, function: &Function, rt: &TokenStream) -> TokenStream {
    let name = match &args.name {
        Some(Name::Literal(literal)) => Some(quote!(.name(#literal))),
        _ => None,
    };
    let scope = args.scope.as_ref().map(|scope| call_at("scope", scope));
    let parameters = function.parameter_names();
    let is_constant = |value: &Expr| !mentions(value.to_token_stream(), &parameters);
    let settings = args.kafka.0.iter().filter_map(|setting| match setting {
        Setting::Text(_, value) if !is_constant(value) => None,
        setting => Some(setting.call(rt)),
    });
    quote!(#rt::kafka::ProcessOptions::new() #name #(#settings)* #scope)
}

fn mentions(tokens: TokenStream, names: &[String]) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => names.iter().any(|name| ident == name),
        TokenTree::Group(group) => mentions(group.stream(), names),
        _ => false,
    })
}

/// What the attribute says, as calls on the builder `kafka::TYPE`.
pub(crate) fn options(args: &Args, rt: &TokenStream, ty: &str) -> TokenStream {
    let ty = Ident::new(ty, proc_macro2::Span::mixed_site());
    let name = args.name.as_ref().map(|name| match name {
        Name::Literal(literal) => quote!(.name(#literal)),
        Name::Expr(expr) => call_at("name", expr),
    });
    let links = args.links.as_ref().map(|links| call_at("links", links));
    let scope = args.scope.as_ref().map(|scope| call_at("scope", scope));
    let settings = args.kafka.0.iter().map(|setting| setting.call(rt));
    quote!(#rt::kafka::#ty::new() #name #(#settings)* #links #scope)
}

/// Whether the options are the same for each call: all that was written is literal.
pub(crate) fn are_constant(args: &Args) -> bool {
    let is_literal = |value: &Expr| matches!(value, Expr::Lit(_));
    let settings_are = args.kafka.0.iter().all(|setting| match setting {
        Setting::Text(_, value) => is_literal(value),
        // A path may be that of a generic parameter, of which no static can be made.
        Setting::KeyWith(_) => false,
        _ => true,
    });
    settings_are
        && args.links.is_none()
        && args.scope.as_ref().is_none_or(is_literal)
        && matches!(args.name, None | Some(Name::Literal(_)))
}

impl Setting {
    fn call(&self, rt: &TokenStream) -> TokenStream {
        match self {
            Setting::Text(word, value) => call_at(word, value),
            Setting::Context(mode) => {
                let mode = Ident::new(mode, proc_macro2::Span::mixed_site());
                quote!(.context(#rt::kafka::ContextMode::#mode))
            }
            Setting::MaxAge(None) => quote!(.parent_max_age(::core::option::Option::None)),
            Setting::MaxAge(Some(ms)) => {
                quote!(.parent_max_age(::core::option::Option::Some(::core::time::Duration::from_millis(#ms))))
            }
            Setting::Existing(existing) => {
                let existing = Ident::new(existing, proc_macro2::Span::mixed_site());
                quote!(.existing(#rt::kafka::Existing::#existing))
            }
            Setting::KeyOff => quote!(.key(#rt::kafka::KeyText::Off)),
            Setting::KeyUtf8(max) => quote!(.key(#rt::kafka::KeyText::Utf8 { max_bytes: #max })),
            Setting::KeyWith(path) => quote!(.key(#rt::kafka::KeyText::With(#path))),
            Setting::Headers(headers) => {
                let captured = headers
                    .iter()
                    .map(|(header, key)| quote!(#rt::kafka::CapturedHeader::new(#header, #key)));
                quote!(.headers(const { &[#(#captured),*] }))
            }
            Setting::Header(word, header) => {
                let word = Ident::new(word, header.span());
                quote!(.#word(#header))
            }
            Setting::Switch(word, on) => {
                let word = Ident::new(word, proc_macro2::Span::mixed_site());
                quote!(.#word(#on))
            }
        }
    }
}

/// Whether a parameter carries the marker, which the compiler does not know.
pub(crate) fn is_marked(function: &Function) -> bool {
    is_marked_by(function, is_marker)
}

pub(crate) fn is_marked_by(function: &Function, is_marker: fn(&syn::Attribute) -> bool) -> bool {
    function.sig.inputs.iter().any(|input| match input {
        FnArg::Typed(arg) => arg.attrs.iter().any(is_marker),
        FnArg::Receiver(_) => false,
    })
}

fn is_marker(attr: &syn::Attribute) -> bool {
    attr.path().is_ident(MARKER)
}
