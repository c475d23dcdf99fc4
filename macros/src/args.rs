//! The arguments of all macros: one loop that reads them by the table of the macro.

use crate::error::{Errors, as_written, brought_along, nearest, one_of};
use crate::fields::Field;
use crate::fragments::expression;
use crate::kafka::KafkaArgs;
use crate::run::RunArgs;
use crate::words::{Form, Grammar, Word, checked_name};
use proc_macro2::{Span, TokenStream, TokenTree};
use syn::ext::IdentExt as _;
use syn::parse::{End, ParseStream, Parser as _};
use syn::spanned::Spanned as _;
use syn::{Expr, Ident, Lit, LitStr, Path, Token};

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
    /// What `run(..)` says.
    pub(crate) run: RunArgs,
    /// The closure or future at the end of `span!(..)`.
    pub(crate) operand: Option<Expr>,
    /// Words in the order in which they were written, so that a contradiction is told at the second one.
    pub(crate) seen: Vec<(&'static str, Span)>,
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

/// Reads all arguments. What has a mistake is left out, so that the rest still expands.
pub(crate) fn parse(tokens: TokenStream, grammar: &Grammar, errors: &mut Errors) -> Args {
    let mut args = Args::default();
    let read = |input: ParseStream<'_>| {
        read_all(input, grammar, &mut args, errors);
        Ok(())
    };
    if let Err(error) = read.parse2(tokens) {
        errors.push(error);
    }
    args
}

/// Reads the arguments in the parentheses of `word`.
pub(crate) fn nested(input: ParseStream<'_>, word: &str, grammar: &Grammar, errors: &mut Errors) -> Args {
    let mut args = Args::default();
    read_all(input, grammar, &mut args, errors);
    if let Some(Name::Literal(name)) = &args.name {
        errors.over(name, format_args!("`{word}(..)` has no name; remove `{}`", as_written(name)));
    }
    args
}

fn read_all(input: ParseStream<'_>, grammar: &Grammar, args: &mut Args, errors: &mut Errors) {
    let mut first = true;
    while !input.is_empty() {
        if let Err(error) = argument(input, grammar, args, first, errors) {
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
}

fn argument(
    input: ParseStream<'_>,
    grammar: &Grammar,
    args: &mut Args,
    first: bool,
    errors: &mut Errors,
) -> syn::Result<()> {
    if grammar.operand && is_operand(input, grammar) {
        let operand = expression(input)?;
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

fn not_a_name(expr: &Expr) -> syn::Error {
    let text = match expr {
        Expr::Lit(syn::ExprLit { lit, .. }) => name_of(lit),
        _ => return syn::Error::new_spanned(expr, format!("write `name = {}`", as_written(expr))),
    };
    syn::Error::new_spanned(expr, format!("a span's name is a string; write `\"{text}\"`"))
}

/// What was meant as a name, without the quotes and prefixes of other literals.
fn name_of(literal: &Lit) -> String {
    match literal {
        Lit::Char(char) => char.value().to_string(),
        Lit::ByteStr(bytes) => String::from_utf8_lossy(&bytes.value()).into_owned(),
        Lit::CStr(text) => text.value().to_string_lossy().into_owned(),
        other => as_written(other),
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
