//! The arguments of all macros: one table per macro, one loop that reads them.

use crate::error::{Errors, as_written, brought_along, nearest, one_of};
use crate::fields::{self, Field};
use crate::kafka::KafkaArgs;
use proc_macro2::{Span, TokenStream, TokenTree};
use syn::ext::IdentExt as _;
use syn::parse::{End, ParseStream, Parser as _};
use syn::spanned::Spanned as _;
use syn::{Expr, Ident, LitStr, Path, Token};

/// What was written between the parentheses.
#[derive(Default)]
pub(crate) struct Args {
    pub(crate) name: Option<Name>,
    pub(crate) kind: Option<Kind>,
    pub(crate) fields: Vec<Field>,
    pub(crate) err: Option<ErrMode>,
    pub(crate) parent: Option<Expr>,
    pub(crate) root: bool,
    pub(crate) links: Option<Expr>,
    pub(crate) scope: Option<Expr>,
    pub(crate) leaf: bool,
    pub(crate) returns: Option<Returns>,
    pub(crate) krate: Option<Path>,
    pub(crate) kafka: KafkaArgs,
    /// The closure or future at the end of `span!(..)`.
    pub(crate) operand: Option<Expr>,
    /// Words in the order in which they were written, so that a contradiction is told at the second one.
    seen: Vec<(&'static str, Span)>,
}

pub(crate) enum Name {
    Literal(LitStr),
    Expr(Expr),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Internal,
    Server,
    Client,
    Producer,
    Consumer,
}

pub(crate) enum ErrMode {
    Ignore,
    Debug(Span),
    With(Path),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Returns {
    Future,
    Stream,
    Value,
}

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

/// Reads all arguments. What has a mistake is left out, so that the rest still expands.
pub(crate) fn parse(tokens: TokenStream, grammar: &Grammar, errors: &mut Errors) -> Args {
    let mut args = Args::default();
    let read = |input: ParseStream<'_>| {
        let mut first = true;
        while !input.is_empty() {
            if let Err(error) = argument(input, grammar, &mut args, first, errors) {
                errors.push(error);
                skip_to_comma(input);
            } else if !input.is_empty() && !input.peek(Token![,]) {
                errors.at(input.span(), "expected `,` between two arguments");
                skip_to_comma(input);
            }
            // Only a comma can stand here, or the end.
            let _ = input.parse::<Option<Token![,]>>();
            first = false;
        }
        Ok(())
    };
    if let Err(error) = read.parse2(tokens) {
        errors.push(error);
    }
    args
}

fn argument(
    input: ParseStream<'_>,
    grammar: &Grammar,
    args: &mut Args,
    first: bool,
    errors: &mut Errors,
) -> syn::Result<()> {
    if grammar.operand && is_operand(input, grammar) {
        let operand: Expr = input.parse()?;
        let is_last = input.is_empty() || (input.peek(Token![,]) && input.peek2(End));
        if !is_last {
            let message = "the closure or future comes last; move the other arguments before it";
            return Err(syn::Error::new_spanned(operand, message));
        }
        args.operand = Some(operand);
        return Ok(());
    }
    if input.peek(LitStr) {
        return positional_name(input, args, first);
    }
    if !input.peek(Ident::peek_any) {
        let expr: Expr =
            input.parse().map_err(|_| input.error("expected an argument such as `kind = client`"))?;
        return Err(not_a_name(&expr));
    }
    let ident = input.fork().call(Ident::parse_any)?;
    let text = ident.unraw().to_string();
    let Some(word) = grammar.words.iter().find(|word| word.name == text) else {
        return Err(unknown(input, &ident, &text, grammar));
    };
    if matches!(word.form, Form::Refused) {
        return Err(syn::Error::new(ident.span(), word.advice));
    }
    if let Some(at) = path_start(input) {
        return Err(at);
    }
    input.call(Ident::parse_any)?;
    if args.seen(word.name).is_some() {
        let message = format!("`{text}` is given twice; keep one of them");
        return Err(syn::Error::new(ident.span(), message));
    }
    args.seen.push((word.name, ident.span()));
    match word.form {
        Form::Value(read) => {
            let Some(assign) = assign(input)? else {
                return Err(wrong_form(input, &ident, word));
            };
            if input.is_empty() || input.peek(Token![,]) {
                let message = format!("a value is missing after `=`; {}", word.advice);
                return Err(syn::Error::new(assign, message));
            }
            read(args, input)
        }
        Form::List(read) => {
            if !input.peek(syn::token::Paren) {
                return Err(syn::Error::new(ident.span(), word.advice));
            }
            let content;
            syn::parenthesized!(content in input);
            read(args, &content, errors);
            Ok(())
        }
        Form::Flag(set) => {
            if !at_end(input) {
                return Err(syn::Error::new(ident.span(), word.advice));
            }
            set(args);
            Ok(())
        }
        Form::Refused => Ok(()),
    }
}

/// `crate::NAME`, `name::space()`: a known word that begins a path is not meant as the word.
fn path_start(input: ParseStream<'_>) -> Option<syn::Error> {
    if !input.peek2(Token![::]) {
        return None;
    }
    let expr: Expr = input.fork().parse().ok()?;
    Some(not_a_name(&expr))
}

fn positional_name(input: ParseStream<'_>, args: &mut Args, first: bool) -> syn::Result<()> {
    let literal: LitStr = input.parse()?;
    if !first {
        let text = as_written(&literal);
        let message = if args.name.is_some() {
            format!("the span already has a name; remove `{text}`")
        } else {
            format!("the name comes first; move `{text}` to the front")
        };
        return Err(syn::Error::new(literal.span(), message));
    }
    args.seen.push(("name", literal.span()));
    args.name = Some(Name::Literal(checked_name(literal)?));
    Ok(())
}

fn checked_name(literal: LitStr) -> syn::Result<LitStr> {
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

fn not_a_name(expr: &Expr) -> syn::Error {
    let text = as_written(expr);
    match expr {
        Expr::Lit(_) => {
            syn::Error::new_spanned(expr, format!("a span's name is a string; write `\"{text}\"`"))
        }
        _ => syn::Error::new_spanned(expr, format!("write `name = {text}`")),
    }
}

fn unknown(input: ParseStream<'_>, ident: &Ident, text: &str, grammar: &Grammar) -> syn::Error {
    if let Some(advice) = brought_along(text) {
        return syn::Error::new(ident.span(), advice);
    }
    let is_constant =
        text.chars().any(|c| c.is_ascii_uppercase()) && !text.chars().any(|c| c.is_ascii_lowercase());
    let is_expr = input.peek2(Token![::])
        || input.peek2(Token![.])
        || (input.peek2(Token![!]) && !input.peek2(Token![!=]));
    if (is_constant || is_expr)
        && !input.peek2(Token![=])
        && let Ok(expr) = input.fork().parse::<Expr>()
    {
        return not_a_name(&expr);
    }
    let accepted =
        || grammar.words.iter().filter(|word| !matches!(word.form, Form::Refused)).map(|word| word.name);
    let hint = nearest(text, accepted()).map(|word| format!(" (did you mean `{word}`?)")).unwrap_or_default();
    let message = format!("unknown argument `{text}`{hint}; expected {}", one_of(accepted()));
    syn::Error::new(ident.span(), message)
}

/// `kind: client`, `kind(client)`, `kind "client"`: the same value after `=`, if it is short enough to repeat.
fn wrong_form(input: ParseStream<'_>, ident: &Ident, word: &Word) -> syn::Error {
    let error = |advice: &str| syn::Error::new(ident.span(), advice);
    if word.name == "err" || at_end(input) {
        return error(word.advice);
    }
    let fork = input.fork();
    let _ = fork.parse::<Option<Token![:]>>();
    let value = match fork.parse::<TokenTree>() {
        Ok(TokenTree::Group(group)) => {
            group.stream().into_iter().next().filter(|_| group.stream().into_iter().count() == 1)
        }
        Ok(token) if at_end(&fork) => Some(token),
        _ => None,
    };
    match value {
        Some(value) if word.name == "kind" || word.name == "returns" => {
            error(&format!("write `{} = {}`", word.name, value.to_string().trim_matches('"')))
        }
        Some(value) => error(&format!("write `{} = {value}`", word.name)),
        None => error(word.advice),
    }
}

/// Whether what follows is the closure or future of `span!` and not one of its words.
fn is_operand(input: ParseStream<'_>, grammar: &Grammar) -> bool {
    if input.peek(LitStr) {
        return false;
    }
    if !input.peek(Ident::peek_any) {
        return true;
    }
    let fork = input.fork();
    let Ok(ident) = fork.call(Ident::parse_any) else { return true };
    if fork.peek(Token![=]) && !fork.peek(Token![==]) {
        return false;
    }
    let text = ident.to_string();
    let at_end = at_end(&fork);
    let is_word = match grammar.words.iter().find(|word| word.name == text).map(|word| &word.form) {
        Some(Form::List(_)) => at_end || fork.peek(syn::token::Paren),
        Some(_) => at_end || (fork.peek(Token![:]) && !fork.peek(Token![::])),
        None => {
            let comes_last = fork.is_empty() || (fork.peek(Token![,]) && fork.peek2(End));
            (at_end && !comes_last)
                || (brought_along(&text).is_some() && !fork.peek(Token![.]) && !fork.peek(Token![::]))
        }
    };
    !is_word
}

/// The `=` that introduces a value, unless it is part of another operator.
fn assign(input: ParseStream<'_>) -> syn::Result<Option<Span>> {
    if input.peek(Token![=]) && !input.peek(Token![==]) && !input.peek(Token![=>]) {
        return input.parse::<Token![=]>().map(|token| Some(token.span()));
    }
    Ok(None)
}

fn at_end(input: ParseStream<'_>) -> bool {
    input.is_empty() || input.peek(Token![,])
}

/// Leaves out what remains of the current argument.
pub(crate) fn skip_to_comma(input: ParseStream<'_>) {
    while !input.is_empty() && !input.peek(Token![,]) {
        if input.parse::<TokenTree>().is_err() {
            return;
        }
    }
}

impl Args {
    /// Where `word` was written.
    pub(crate) fn seen(&self, word: &str) -> Option<Span> {
        self.seen.iter().find(|(seen, _)| *seen == word).map(|(_, span)| *span)
    }

    /// Whichever of two words was written second.
    pub(crate) fn second(&self, a: &str, b: &str) -> Option<Span> {
        self.seen.iter().rfind(|(seen, _)| *seen == a || *seen == b).map(|(_, span)| *span)
    }
}

pub(crate) fn name(args: &mut Args, input: ParseStream<'_>) -> syn::Result<()> {
    let expr: Expr = input.parse()?;
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
    let value: Expr = input.parse()?;
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
    let value: Expr = input.parse()?;
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
    let value: Expr = input.parse()?;
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
    args.links = Some(input.parse()?);
    Ok(())
}

pub(crate) fn scope(args: &mut Args, input: ParseStream<'_>) -> syn::Result<()> {
    args.scope = Some(input.parse()?);
    Ok(())
}

pub(crate) fn krate(args: &mut Args, input: ParseStream<'_>) -> syn::Result<()> {
    if let Ok(literal) = input.fork().parse::<LitStr>() {
        let message = format!("write `crate = {}`", literal.value());
        return Err(syn::Error::new(literal.span(), message));
    }
    args.krate = Some(input.call(Path::parse_mod_style)?);
    Ok(())
}
