//! The annotated function: its parsed signature, its tokens as written, and its body untouched.

use crate::error::Errors;
use proc_macro2::{Delimiter, Group, Span, TokenStream, TokenTree};
use quote::ToTokens as _;
use syn::parse::{ParseStream, Parser as _};
use syn::spanned::Spanned as _;
use syn::visit_mut::VisitMut;
use syn::{
    Attribute, FnArg, GenericArgument, Ident, Pat, PathArguments, ReturnType, Signature, Token, Type,
    TypeParamBound,
};

/// A function with a body. The body is never parsed: half-typed code keeps its one error, at its own place.
pub(crate) struct Function {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: syn::Visibility,
    /// `default fn` of specialisation: kept as written, of no interest here.
    pub(crate) defaultness: Option<Token![default]>,
    pub(crate) sig: Signature,
    /// Everything before the body, as written.
    pub(crate) head: TokenStream,
    /// `#![..]` at the start of the body; they are only allowed at the start of the outer braces.
    pub(crate) inner_attrs: TokenStream,
    /// The body with its own braces.
    pub(crate) body: Group,
}

/// What a function returns, as far as its written type tells.
pub(crate) enum Returned {
    Nothing,
    Never,
    Value(Type),
    /// A future to wrap; `output` is the type in `Future<Output = ..>`, if it stands there.
    Future {
        ty: Type,
        output: Option<Box<Type>>,
        boxed: bool,
    },
    Stream {
        ty: Type,
        boxed: bool,
    },
}

/// Parses the item under an attribute. `None`: the mistake is in `errors`, the item must come back unchanged.
pub(crate) fn parse(item: &TokenStream, macro_name: &str, errors: &mut Errors) -> Option<Function> {
    let mut tokens: Vec<TokenTree> = flatten(item.clone()).into_iter().collect();
    let body = match tokens.last().and_then(as_body) {
        Some(body) => {
            tokens.pop();
            Some(body)
        }
        None => None,
    };
    let head: TokenStream = tokens.into_iter().collect();
    let parsed = |input: ParseStream<'_>| {
        let attrs = input.call(Attribute::parse_outer)?;
        let vis: syn::Visibility = input.parse()?;
        if let Some(error) = not_a_function(input, macro_name) {
            return Err(error);
        }
        let defaultness: Option<Token![default]> = input.parse()?;
        let sig: Signature = input.parse()?;
        // What is left is the `;` of a declaration, which is told below with a better message.
        input.parse::<TokenStream>()?;
        Ok((attrs, vis, defaultness, sig))
    };
    let (attrs, vis, defaultness, sig) = match parsed.parse2(head.clone()) {
        Ok(parsed) => parsed,
        Err(error) => {
            errors.push(error);
            return None;
        }
    };
    if let Some(constness) = &sig.constness {
        let message = format!("`#[{macro_name}]` cannot be used on a `const fn`: a span is made at run time");
        errors.at(constness.span(), message);
        return None;
    }
    let Some(body) = body else {
        let message = format!("`#[{macro_name}]` needs a body; put it on the function in the `impl`");
        errors.at(sig.ident.span(), message);
        return None;
    };
    let (inner_attrs, body) = split_inner_attrs(body);
    Some(Function { attrs, vis, defaultness, sig, head, inner_attrs, body })
}

/// A function made by `macro_rules!` may come wrapped in invisible delimiters as a whole.
fn flatten(item: TokenStream) -> TokenStream {
    let mut tokens = item.clone().into_iter();
    match (tokens.next(), tokens.next()) {
        (Some(TokenTree::Group(group)), None) if group.delimiter() == Delimiter::None => {
            flatten(group.stream())
        }
        _ => item,
    }
}

/// The braces of the body, also when a `$body:block` wraps them in invisible delimiters.
fn as_body(token: &TokenTree) -> Option<Group> {
    let TokenTree::Group(group) = token else { return None };
    match group.delimiter() {
        Delimiter::Brace => Some(group.clone()),
        Delimiter::None => {
            let mut inner = group.stream().into_iter();
            match (inner.next(), inner.next()) {
                (Some(token), None) => as_body(&token),
                _ => None,
            }
        }
        _ => None,
    }
}

fn not_a_function(input: ParseStream<'_>, macro_name: &str) -> Option<syn::Error> {
    if input.peek(Token![impl]) || (input.peek(Token![unsafe]) && input.peek2(Token![impl])) {
        return Some(input.error(format_args!("expected a function; put `#[{macro_name}]` on each method")));
    }
    let other = [
        input.peek(Token![struct]),
        input.peek(Token![enum]),
        input.peek(Token![union]) && !input.peek2(Token![fn]),
        input.peek(Token![mod]),
        input.peek(Token![trait]),
        input.peek(Token![type]),
        input.peek(Token![static]),
        input.peek(Token![use]),
        input.peek(Token![macro]),
        input.peek(Token![let]),
        input.peek(Token![const]) && !is_const_fn(input),
        input.peek(Token![|]),
        input.peek(Token![move]),
    ];
    other.contains(&true).then(|| {
        input.error(format_args!("expected a function; `#[{macro_name}]` goes on functions and methods"))
    })
}

fn is_const_fn(input: ParseStream<'_>) -> bool {
    [
        input.peek2(Token![fn]),
        input.peek2(Token![unsafe]),
        input.peek2(Token![extern]),
        input.peek2(Token![async]),
    ]
    .contains(&true)
}

fn split_inner_attrs(body: Group) -> (TokenStream, Group) {
    let mut attrs = TokenStream::new();
    let mut rest = body.stream().into_iter().peekable();
    let mut lookahead = body.stream().into_iter();
    while let (Some(TokenTree::Punct(hash)), Some(TokenTree::Punct(bang)), Some(TokenTree::Group(group))) =
        (lookahead.next(), lookahead.next(), lookahead.next())
    {
        let is_attr =
            hash.as_char() == '#' && bang.as_char() == '!' && group.delimiter() == Delimiter::Bracket;
        if !is_attr {
            break;
        }
        attrs.extend(rest.by_ref().take(3));
    }
    if attrs.is_empty() {
        return (attrs, body);
    }
    let mut group = Group::new(Delimiter::Brace, rest.collect());
    group.set_span(body.span());
    (attrs, group)
}

impl Function {
    /// The attribute `name` of the user's function.
    pub(crate) fn attr(&self, name: &str) -> Option<&Attribute> {
        self.attrs.iter().find(|attr| attr.path().segments.last().is_some_and(|last| last.ident == name))
    }

    /// The type written for the parameter `name`; `Some(None)` for one that a pattern takes apart.
    pub(crate) fn parameter(&self, name: &Ident) -> Option<Option<&Type>> {
        self.sig.inputs.iter().find_map(|input| match input {
            FnArg::Typed(arg) => match peel_pat(&arg.pat) {
                Pat::Ident(pat) if pat.ident == *name => Some(Some(&*arg.ty)),
                pattern => binds(pattern.to_token_stream(), name).then_some(None),
            },
            FnArg::Receiver(_) => None,
        })
    }

    /// The names that a field may record by themselves.
    pub(crate) fn parameter_names(&self) -> Vec<String> {
        let names = self.sig.inputs.iter().filter_map(|input| match input {
            FnArg::Typed(arg) => match peel_pat(&arg.pat) {
                Pat::Ident(pat) => Some(pat.ident.to_string()),
                _ => None,
            },
            FnArg::Receiver(_) => None,
        });
        names.collect()
    }

    pub(crate) fn returned(&self) -> Returned {
        returned(&self.sig.output)
    }

    pub(crate) fn returns_nothing(&self) -> bool {
        matches!(self.returned(), Returned::Nothing | Returned::Never)
    }

    /// The user's return type, or the closing parenthesis of the parameters where it would stand.
    pub(crate) fn return_span(&self) -> Span {
        match &self.sig.output {
            ReturnType::Type(_, ty) => ty.span(),
            ReturnType::Default => self.sig.paren_token.span.close(),
        }
    }
}

fn peel_pat(pat: &Pat) -> &Pat {
    match pat {
        Pat::Paren(paren) => peel_pat(&paren.pat),
        other => other,
    }
}

/// Whether a pattern mentions `name`: types and constants in it begin with a capital or have a path.
fn binds(pattern: TokenStream, name: &Ident) -> bool {
    pattern.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => ident == *name,
        TokenTree::Group(group) => binds(group.stream(), name),
        _ => false,
    })
}

fn returned(output: &ReturnType) -> Returned {
    let ReturnType::Type(_, ty) = output else { return Returned::Nothing };
    let ty = peel(ty);
    match ty {
        Type::Never(_) => Returned::Never,
        Type::Tuple(tuple) if tuple.elems.is_empty() => Returned::Nothing,
        _ => match asynchronous(ty, false) {
            Some(Async::Future { output, boxed }) => Returned::Future { ty: ty.clone(), output, boxed },
            Some(Async::Stream { boxed }) => Returned::Stream { ty: ty.clone(), boxed },
            None => Returned::Value(ty.clone()),
        },
    }
}

enum Async {
    Future { output: Option<Box<Type>>, boxed: bool },
    Stream { boxed: bool },
}

/// Reads a written type: `impl Future`, `Pin<Box<dyn Future>>`, `BoxFuture`, and the same for streams.
fn asynchronous(ty: &Type, in_pin: bool) -> Option<Async> {
    match peel(ty) {
        Type::ImplTrait(ty) => by_bounds(ty.bounds.iter(), in_pin),
        Type::TraitObject(ty) if in_pin => by_bounds(ty.bounds.iter(), true),
        Type::Path(path) => {
            let last = path.path.segments.last()?;
            match last.ident.to_string().as_str() {
                "Pin" if !in_pin => match peel(first_type(&last.arguments)?) {
                    Type::Path(inner) => {
                        let inner = inner.path.segments.last()?;
                        if inner.ident != "Box" {
                            return None;
                        }
                        asynchronous(first_type(&inner.arguments)?, true)
                    }
                    _ => None,
                },
                "BoxFuture" | "LocalBoxFuture" => Some(Async::Future {
                    output: first_type(&last.arguments).cloned().map(Box::new),
                    boxed: true,
                }),
                "BoxStream" | "LocalBoxStream" => Some(Async::Stream { boxed: true }),
                _ => None,
            }
        }
        _ => None,
    }
}

fn by_bounds<'a>(mut bounds: impl Iterator<Item = &'a TypeParamBound>, boxed: bool) -> Option<Async> {
    bounds.find_map(|bound| {
        let TypeParamBound::Trait(bound) = bound else { return None };
        let last = bound.path.segments.last()?;
        match last.ident.to_string().as_str() {
            "Future" => Some(Async::Future { output: output_type(&last.arguments), boxed }),
            "Stream" => Some(Async::Stream { boxed }),
            _ => None,
        }
    })
}

/// The first type among the arguments of a path: `T` of `<'a, T, U>`.
pub(crate) fn first_type(arguments: &PathArguments) -> Option<&Type> {
    let PathArguments::AngleBracketed(arguments) = arguments else { return None };
    arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    })
}

/// `T` of `NAME<T>`, where `NAME` is the last part of the path.
pub(crate) fn argument<'t>(ty: &'t Type, name: &str) -> Option<&'t Type> {
    let Type::Path(path) = peel(ty) else { return None };
    let last = path.path.segments.last().filter(|last| last.ident == name)?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
    match arguments.args.first() {
        Some(GenericArgument::Type(ty)) if arguments.args.len() == 1 => Some(ty),
        _ => None,
    }
}

/// Whether the last part of a path is `name`, without arguments.
pub(crate) fn named(ty: &Type, name: &str) -> bool {
    let Type::Path(path) = peel(ty) else { return false };
    path.path.segments.last().is_some_and(|last| last.ident == name && last.arguments.is_empty())
}

fn output_type(arguments: &PathArguments) -> Option<Box<Type>> {
    let PathArguments::AngleBracketed(arguments) = arguments else { return None };
    arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::AssocType(assoc) if assoc.ident == "Output" => Some(Box::new(assoc.ty.clone())),
        _ => None,
    })
}

/// A type without the invisible groups that `macro_rules!` puts round `$t:ty`, and without parentheses.
pub(crate) fn peel(ty: &Type) -> &Type {
    match ty {
        Type::Group(group) => peel(&group.elem),
        Type::Paren(paren) => peel(&paren.elem),
        other => other,
    }
}

/// `&'static str`, which is recorded without a copy.
pub(crate) fn is_static_str(ty: &Type) -> bool {
    let Type::Reference(reference) = peel(ty) else { return false };
    let is_static = reference.lifetime.as_ref().is_some_and(|lifetime| lifetime.ident == "static");
    let is_str = matches!(peel(&reference.elem), Type::Path(path) if path.path.is_ident("str"));
    is_static && is_str && reference.mutability.is_none()
}

/// The type with `_` for every `impl Trait`, which cannot be named inside a body.
pub(crate) fn nameable(ty: &Type) -> Type {
    let mut ty = ty.clone();
    Nameable.visit_type_mut(&mut ty);
    ty
}

struct Nameable;

impl VisitMut for Nameable {
    fn visit_type_mut(&mut self, ty: &mut Type) {
        if let Type::ImplTrait(opaque) = ty {
            let span = opaque.impl_token.span();
            *ty = Type::Infer(syn::TypeInfer { attrs: Vec::new(), underscore_token: Token![_](span) });
        } else {
            syn::visit_mut::visit_type_mut(self, ty);
        }
    }
}

pub(crate) fn is_infer(ty: &Type) -> bool {
    matches!(ty, Type::Infer(_))
}
