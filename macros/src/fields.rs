//! The grammar of `fields(..)` and `record!(..)`: `id`, `%x`, `?y`, `a.b = EXPR`, `"a.b" = EXPR`, `{CONST} = EXPR`.

use crate::args::skip_to_comma;
use crate::error::{Errors, as_written};
use crate::fragments::expression;
use proc_macro2::{Span, TokenStream};
use quote::ToTokens;
use syn::ext::IdentExt as _;
use syn::parse::ParseStream;
use syn::spanned::Spanned as _;
use syn::{Expr, Ident, Lit, LitStr, Token};

/// One attribute to record.
pub(crate) struct Field {
    pub(crate) key: Key,
    pub(crate) mode: Mode,
    pub(crate) value: Value,
}

/// An attribute's key.
pub(crate) enum Key {
    /// As written, or the name of the value.
    Literal(LitStr),
    /// `{CONST}`: an expression of type `&'static str`.
    Const(TokenStream),
}

/// By which trait the value is recorded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Typed,
    Display,
    Debug,
}

pub(crate) enum Value {
    /// A bare word: the parameter or variable of that name.
    Named(Ident),
    Expr(Expr),
}

impl Value {
    pub(crate) fn span(&self) -> Span {
        match self {
            Value::Named(ident) => ident.span(),
            Value::Expr(expr) => expr.span(),
        }
    }
}

impl ToTokens for Value {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        match self {
            Value::Named(ident) => ident.to_tokens(tokens),
            Value::Expr(expr) => expr.to_tokens(tokens),
        }
    }
}

/// All fields up to the end of `input`. A field with a mistake is left out, the others stay.
pub(crate) fn parse(input: ParseStream<'_>, errors: &mut Errors) -> Vec<Field> {
    let mut fields: Vec<Field> = Vec::new();
    while !input.is_empty() {
        match field(input) {
            Ok(field) => {
                if is_known(&fields, &field.key) {
                    let key = field.key.text();
                    errors.over(&field.key, format_args!("the key `{key}` is given twice; keep one of them"));
                } else {
                    fields.push(field);
                }
                if !input.is_empty() && !input.peek(Token![,]) {
                    errors.at(input.span(), "expected `,` between two fields");
                    skip_to_comma(input);
                }
            }
            Err(error) => {
                errors.push(error);
                skip_to_comma(input);
            }
        }
        // Only a comma can stand here, or the end.
        let _ = input.parse::<Option<Token![,]>>();
    }
    fields
}

fn is_known(fields: &[Field], key: &Key) -> bool {
    fields.iter().any(|other| match (&other.key, key) {
        (Key::Literal(a), Key::Literal(b)) => a.value() == b.value(),
        (Key::Const(a), Key::Const(b)) => a.to_string() == b.to_string(),
        _ => false,
    })
}

impl Key {
    fn text(&self) -> String {
        match self {
            Key::Literal(literal) => literal.value(),
            Key::Const(path) => as_written(path),
        }
    }
}

impl ToTokens for Key {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        match self {
            Key::Literal(literal) => literal.to_tokens(tokens),
            Key::Const(path) => path.to_tokens(tokens),
        }
    }
}

fn field(input: ParseStream<'_>) -> syn::Result<Field> {
    if input.peek(LitStr) {
        return with_literal_key(input);
    }
    if input.peek(syn::token::Brace) {
        return with_const_key(input);
    }
    if input.peek(Token![%]) || input.peek(Token![?]) {
        let sigil = input.span();
        let mode = sigil_mode(input);
        return bare(input, mode, Some(sigil));
    }
    if input.peek(Ident::peek_any) {
        let fork = input.fork();
        let key = dotted_key(&fork)?;
        if peek_assign(&fork) {
            dotted_key(input)?;
            return assigned(input, Key::Literal(key));
        }
        if fork.peek(Token![:]) && !fork.peek(Token![::]) {
            fork.parse::<Token![:]>()?;
            let value = fork.parse::<Expr>().map_or_else(|_| "..".to_owned(), as_written);
            return Err(syn::Error::new(key.span(), format!("write `{} = {value}`", key.value())));
        }
    }
    bare(input, Mode::Typed, None)
}

fn with_literal_key(input: ParseStream<'_>) -> syn::Result<Field> {
    let key: LitStr = input.parse()?;
    if key.value().trim().is_empty() {
        return Err(syn::Error::new(
            key.span(),
            "the key is empty; write what the value is, such as `\"order.id\"`",
        ));
    }
    if !peek_assign(input) {
        return Err(syn::Error::new(
            key.span(),
            format_args!("a value is missing; write `{} = EXPR`", as_written(&key)),
        ));
    }
    assigned(input, Key::Literal(key))
}

fn with_const_key(input: ParseStream<'_>) -> syn::Result<Field> {
    let content;
    let brace = syn::braced!(content in input);
    let path: TokenStream = content.parse()?;
    if path.is_empty() {
        return Err(syn::Error::new(brace.span.join(), "the key is empty; write `{CONST} = EXPR`"));
    }
    if !peek_assign(input) {
        let message = format!("a value is missing; write `{{{}}} = EXPR`", as_written(&path));
        return Err(syn::Error::new(brace.span.join(), message));
    }
    assigned(input, Key::Const(path))
}

/// `= EXPR`, `= %EXPR`, `= ?EXPR`.
fn assigned(input: ParseStream<'_>, key: Key) -> syn::Result<Field> {
    let assign: Token![=] = input.parse()?;
    let mode = sigil_mode(input);
    if input.is_empty() || input.peek(Token![,]) {
        return Err(syn::Error::new(assign.span(), "expected an expression after `=`"));
    }
    let value = expression(input)?;
    if is_tracing_empty(&value) {
        let message =
            "a field needs no declaration; remove it and write `throughline::record!(..)` in the body";
        return Err(syn::Error::new_spanned(value, message));
    }
    Ok(Field { key, mode, value: Value::Expr(value) })
}

/// A value without a key: fine for one name, an error that spells the key out for anything else.
fn bare(input: ParseStream<'_>, mode: Mode, sigil: Option<Span>) -> syn::Result<Field> {
    if let Some(sigil) = sigil
        && (input.is_empty() || input.peek(Token![,]))
    {
        return Err(syn::Error::new(sigil, "expected a value after the sigil, such as `%id`"));
    }
    let value = expression(input)?;
    if let Expr::Path(path) = &value
        && let Some(ident) = path.path.get_ident()
        && ident != "self"
    {
        let key = LitStr::new(&ident.unraw().to_string(), ident.span());
        return Ok(Field { key: Key::Literal(key), mode, value: Value::Named(ident.clone()) });
    }
    let sigil = match mode {
        Mode::Typed => "",
        Mode::Display => "%",
        Mode::Debug => "?",
    };
    let key = obvious_key(&value).unwrap_or_else(|| "NAME".to_owned());
    let message = format!("this value has no key; write `{key} = {sigil}{}`", as_written(&value));
    Err(syn::Error::new_spanned(value, message))
}

/// The last name of a field access, a method call or a path.
fn obvious_key(value: &Expr) -> Option<String> {
    match value {
        Expr::Field(field) => match &field.member {
            syn::Member::Named(name) => Some(name.unraw().to_string()),
            syn::Member::Unnamed(_) => None,
        },
        Expr::MethodCall(call) => match call.method.to_string().as_str() {
            "clone" | "len" | "to_string" | "as_str" | "as_ref" | "as_deref" => obvious_key(&call.receiver),
            name => Some(name.to_owned()),
        },
        Expr::Reference(reference) => obvious_key(&reference.expr),
        Expr::Unary(unary) => obvious_key(&unary.expr),
        Expr::Paren(paren) => obvious_key(&paren.expr),
        Expr::Path(path) if path.path.is_ident("self") => None,
        Expr::Path(path) => {
            path.path.segments.last().map(|last| last.ident.unraw().to_string().to_lowercase())
        }
        _ => None,
    }
}

fn is_tracing_empty(value: &Expr) -> bool {
    let Expr::Path(path) = value else { return false };
    let mut last = path.path.segments.iter().rev().map(|segment| segment.ident.to_string());
    last.next().as_deref() == Some("Empty") && last.next().as_deref() == Some("field")
}

/// `a`, `a.b`, `messaging.operation.type`: keywords are fine, and so is a raw identifier.
fn dotted_key(input: ParseStream<'_>) -> syn::Result<LitStr> {
    let first = input.call(Ident::parse_any)?;
    let mut key = first.unraw().to_string();
    while input.peek(Token![.]) && input.peek2(Ident::peek_any) {
        input.parse::<Token![.]>()?;
        key.push('.');
        key.push_str(&input.call(Ident::parse_any)?.unraw().to_string());
    }
    Ok(LitStr::new(&key, first.span()))
}

fn sigil_mode(input: ParseStream<'_>) -> Mode {
    if input.parse::<Token![%]>().is_ok() {
        Mode::Display
    } else if input.parse::<Token![?]>().is_ok() {
        Mode::Debug
    } else {
        Mode::Typed
    }
}

fn peek_assign(input: ParseStream<'_>) -> bool {
    input.peek(Token![=]) && !input.peek(Token![==]) && !input.peek(Token![=>])
}

/// The string literal that `value` is, if it is one: recorded without a copy.
pub(crate) fn as_str_literal(value: &Value) -> Option<&LitStr> {
    match value {
        Value::Expr(Expr::Lit(lit)) => match &lit.lit {
            Lit::Str(text) => Some(text),
            _ => None,
        },
        _ => None,
    }
}
