//! The words of `#[traced_span]` and `span!`, and what reads their values; `kafka_consumer` adds its own.

use crate::args::{Args, ErrMode, Kind, Name, Returns};
use crate::error::{Errors, as_written, one_of};
use crate::fields;
use crate::fragments::expression;
use proc_macro2::Span;
use syn::parse::ParseStream;
use syn::spanned::Spanned as _;
use syn::{Expr, LitStr, Path};

/// How a word is written, and what reads its value.
pub(crate) enum Form {
    /// `word = VALUE`
    Value(fn(&mut Args, ParseStream<'_>) -> syn::Result<()>),
    /// `word(..)`
    List(fn(&mut Args, ParseStream<'_>, &mut Errors)),
    /// `word`
    Flag(fn(&mut Args)),
    /// Accepted by a sibling macro; the message says why not here.
    Refused,
}

pub(crate) struct Word {
    pub(crate) name: &'static str,
    pub(crate) form: Form,
    /// The message for the word in a wrong form, or refused.
    pub(crate) advice: &'static str,
}

/// What a macro accepts.
pub(crate) struct Grammar {
    pub(crate) words: &'static [Word],
    /// Whether a closure or future may stand at the end.
    pub(crate) operand: bool,
}

macro_rules! words {
    ($($name:literal $form:ident $(($parse:expr))?: $advice:literal,)*) => {
        &[$(Word { name: $name, form: Form::$form $(($parse))?, advice: $advice }),*]
    };
}
pub(crate) use words;

pub(crate) const TRACED_SPAN: Grammar = Grammar {
    operand: false,
    words: words![
        "name" Value(name): "write `name = EXPR`",
        "kind" Value(kind): "write `kind = client`",
        "fields" List(fields): "write `fields(..)`",
        "err" Value(err): "errors are recorded by their type; remove `err`, or write `err = debug`",
        "parent" Value(parent): "write `parent = EXPR`",
        "root" Flag(root): "`root` takes no value; write `root`",
        "links" Value(links): "write `links = EXPR`",
        "scope" Value(scope): "write `scope = EXPR`",
        "leaf" Flag(leaf): "`leaf` takes no value; write `leaf`",
        "returns" Value(returns): "write `returns = future`",
        "crate" Value(krate): "write `crate = PATH`",
    ],
};

pub(crate) const SPAN: Grammar = Grammar {
    operand: true,
    words: words![
        "name" Value(name): "write `name = EXPR`",
        "kind" Value(kind): "write `kind = client`",
        "fields" List(fields): "write `fields(..)`",
        "err" Value(err): "errors are recorded by their type; remove `err`, or write `err = debug`",
        "parent" Value(parent): "write `parent = EXPR`",
        "root" Flag(root): "`root` takes no value; write `root`",
        "links" Value(links): "write `links = EXPR`",
        "scope" Value(scope): "write `scope = EXPR`",
        "leaf" Flag(leaf): "`leaf` takes no value; write `leaf`",
        "returns" Refused: "not needed: a closure is synchronous, anything else is a future; remove `returns`",
        "crate" Value(krate): "write `crate = PATH`",
    ],
};

pub(crate) fn name(args: &mut Args, input: ParseStream<'_>) -> syn::Result<()> {
    let expr = expression(input)?;
    let name = match expr {
        Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(literal), .. }) => Name::Literal(checked_name(literal)?),
        other => Name::Expr(other),
    };
    if args.name.is_some() {
        let at = args.seen.last().map_or_else(Span::call_site, |(_, span)| *span);
        return Err(syn::Error::new(at, "the span already has a name; keep one of them"));
    }
    args.name = Some(name);
    Ok(())
}

const KINDS: &[(&str, Kind)] = &[
    ("internal", Kind::Internal),
    ("server", Kind::Server),
    ("client", Kind::Client),
    ("producer", Kind::Producer),
    ("consumer", Kind::Consumer),
];

fn kind(args: &mut Args, input: ParseStream<'_>) -> syn::Result<()> {
    args.kind = Some(choice(input, "kind", KINDS)?);
    Ok(())
}

pub(crate) fn returns(args: &mut Args, input: ParseStream<'_>) -> syn::Result<()> {
    let words = &[("future", Returns::Future), ("stream", Returns::Stream), ("value", Returns::Value)];
    args.returns = Some(choice(input, "returns", words)?);
    Ok(())
}

/// One of a few bare words.
pub(crate) fn choice<T: Copy>(input: ParseStream<'_>, word: &str, choices: &[(&str, T)]) -> syn::Result<T> {
    let value = expression(input)?;
    let text = as_written(&value);
    if let Some((_, choice)) = choices.iter().find(|(name, _)| *name == text) {
        return Ok(*choice);
    }
    let lower = text.trim_matches('"').rsplit("::").next().unwrap_or_default().to_ascii_lowercase();
    let lower = match lower.as_str() {
        "true" => "on".to_owned(),
        "false" => "off".to_owned(),
        _ => lower,
    };
    let message = match choices.iter().find(|(name, _)| *name == lower) {
        Some((name, _)) => format!("`{word}` is a bare word; write `{word} = {name}`"),
        None => format!(
            "`{}` is no value of `{word}`; expected {}",
            text.trim_matches('"'),
            one_of(choices.iter().map(|(name, _)| *name))
        ),
    };
    Err(syn::Error::new_spanned(value, message))
}

pub(crate) fn fields(args: &mut Args, input: ParseStream<'_>, errors: &mut Errors) {
    args.fields = fields::parse(input, errors);
}

pub(crate) fn err(args: &mut Args, input: ParseStream<'_>) -> syn::Result<()> {
    let value = expression(input)?;
    let Expr::Path(path) = &value else {
        let message = "write `err = ignore`, `err = debug`, or the path of a `fn(&E) -> Option<ErrorInfo>`";
        return Err(syn::Error::new_spanned(value, message));
    };
    args.err = Some(match path.path.get_ident().map(ToString::to_string).as_deref() {
        Some("ignore") => ErrMode::Ignore,
        Some("debug") => ErrMode::Debug(value.span()),
        Some("Debug" | "Display" | "display") => {
            let message = "write `err = debug`; without `err`, an error is described by `Display`";
            return Err(syn::Error::new_spanned(value, message));
        }
        _ if path.qself.is_some() => {
            return Err(syn::Error::new_spanned(value, "write a plain path, such as `err = self::classify`"));
        }
        _ => ErrMode::With(path.path.clone()),
    });
    Ok(())
}

fn parent(args: &mut Args, input: ParseStream<'_>) -> syn::Result<()> {
    let value = expression(input)?;
    if matches!(&value, Expr::Path(path) if path.path.is_ident("None")) {
        return Err(syn::Error::new_spanned(value, "write `root` for a span that begins a new trace"));
    }
    args.parent = Some(value);
    Ok(())
}

fn root(args: &mut Args) {
    args.root = true;
}

fn leaf(args: &mut Args) {
    args.leaf = true;
}

pub(crate) fn links(args: &mut Args, input: ParseStream<'_>) -> syn::Result<()> {
    args.links = Some(expression(input)?);
    Ok(())
}

pub(crate) fn scope(args: &mut Args, input: ParseStream<'_>) -> syn::Result<()> {
    args.scope = Some(expression(input)?);
    Ok(())
}

pub(crate) fn krate(args: &mut Args, input: ParseStream<'_>) -> syn::Result<()> {
    if let Ok(literal) = input.fork().parse::<LitStr>() {
        let message = format!("write `crate = {}`", literal.value());
        return Err(syn::Error::new(literal.span(), message));
    }
    let at = input.span();
    let path = input.call(Path::parse_mod_style);
    args.krate =
        Some(path.map_err(|_| syn::Error::new(at, "write `crate = PATH`, such as `crate = telemetry`"))?);
    Ok(())
}

pub(crate) fn checked_name(literal: LitStr) -> syn::Result<LitStr> {
    if literal.value().trim().is_empty() {
        let message = "the span's name is empty; write what is done, such as `\"orders.load\"`";
        return Err(syn::Error::new(literal.span(), message));
    }
    if !literal.suffix().is_empty() {
        let message =
            format!("unexpected suffix; write `{}` without `{}`", literal.value(), literal.suffix());
        return Err(syn::Error::new(literal.span(), message));
    }
    Ok(literal)
}
