//! `span!` and `record!`: spans inside a body, and fields for the innermost one.

use crate::args::{self, Args};
use crate::check;
use crate::error::Errors;
use crate::expand::{Opening, Plan, Slot, private, private_at, reference_to};
use crate::fields::{self, Mode, as_str_literal};
use crate::words;
use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::parse::{ParseStream, Parser as _};
use syn::spanned::Spanned as _;
use syn::{Expr, ExprClosure, Path, ReturnType, Token};

/// Expands `span!(..)`.
pub(crate) fn span(input: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let args = args::parse(input, &words::SPAN, &mut errors);
    check::arguments(&args, &mut errors);
    if args.name.is_none() && errors.is_empty() {
        errors.at(Span::call_site(), "`span!` needs a name; write `span!(\"orders.load\", ..)`");
    }
    if args.err.is_some()
        && args.operand.is_none()
        && let Some(at) = args.seen("err")
    {
        errors.at(at, "a guard sees no value; remove `err`, or write the code as a closure");
    }
    let operand = Operand::of(&args, &mut errors);
    let expanded = if cfg!(feature = "enable") { enabled(&args, operand) } else { disabled(&args, operand) };
    with_errors(errors, expanded)
}

/// What stands at the end of `span!(..)`.
#[derive(Clone, Copy)]
enum Operand<'a> {
    Guard,
    Closure(&'a ExprClosure),
    Future(&'a Expr),
}

impl<'a> Operand<'a> {
    fn of(args: &'a Args, errors: &mut Errors) -> Self {
        match args.operand.as_ref().map(without_parens) {
            None => Operand::Guard,
            Some(Expr::Closure(closure)) => {
                if closure.asyncness.is_some() {
                    errors.at(
                        closure.asyncness.span(),
                        "write `async { .. }` and `.await` the span, without `||`",
                    );
                    Operand::Guard
                } else if closure.inputs.is_empty() {
                    Operand::Closure(closure)
                } else {
                    errors.over(&closure.inputs, "the closure is called without arguments; write `|| ..`");
                    Operand::Guard
                }
            }
            Some(block @ Expr::Block(_)) => {
                errors.over(block, "write `|| { .. }` for a block, `async { .. }` for a future");
                Operand::Guard
            }
            Some(Expr::Await(awaited)) => {
                errors.at(
                    awaited.await_token.span(),
                    "the span would begin after the end; write `.await` behind `span!(..)`",
                );
                Operand::Guard
            }
            Some(other) => Operand::Future(other),
        }
    }
}

fn without_parens(expr: &Expr) -> &Expr {
    match expr {
        Expr::Paren(paren) => without_parens(&paren.expr),
        other => other,
    }
}

fn enabled(args: &Args, operand: Operand<'_>) -> TokenStream {
    let rt = private(args);
    let plan = Plan { args, default_name: String::new(), opening: Opening::Plain, function: None };
    let span = Ident::new("span", Span::mixed_site());
    match operand {
        Operand::Guard => {
            let open = plan.open(&rt, &span, Slot::Stack);
            quote!({ #open #span })
        }
        Operand::Closure(closure) => {
            let open = plan.open(&rt, &span, Slot::Stack);
            let (ty, at) = match &closure.output {
                ReturnType::Type(_, ty) => (quote!(#ty), ty.span()),
                ReturnType::Default => (quote!(_), closure.span()),
            };
            let probe = plan.probe(at);
            quote!({ #open #rt::in_span::<#ty, _, _>(&mut #span, #closure, #probe) })
        }
        Operand::Future(future) => {
            let open = plan.open(&rt, &span, Slot::Owned);
            let probe = plan.probe(future.span());
            let at = Span::mixed_site().located_at(future.span());
            let located = private_at(args, future.span());
            let future = quote_spanned!(at=> #located::into_future(#future));
            quote!(#rt::traced({ #open #span }, #future, #probe))
        }
    }
}

/// Without the feature `enable`: the closure's value, the future itself, a guard that does nothing.
fn disabled(args: &Args, operand: Operand<'_>) -> TokenStream {
    let rt = private(args);
    match operand {
        Operand::Guard => quote!(#rt::NoSpan),
        Operand::Closure(closure) => quote!(#rt::call(#closure)),
        Operand::Future(future) => quote!(#future),
    }
}

/// Expands `record!(..)`.
pub(crate) fn record(input: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let mut args = Args::default();
    let read = |input: ParseStream<'_>| {
        if input.peek(Token![crate]) && input.peek2(Token![=]) {
            input.parse::<Token![crate]>()?;
            input.parse::<Token![=]>()?;
            args.krate = Some(input.call(Path::parse_mod_style)?);
            input.parse::<Option<Token![,]>>()?;
        }
        if input.is_empty() {
            return Err(syn::Error::new(
                Span::call_site(),
                "nothing to record; write `record!(NAME = EXPR)`",
            ));
        }
        args.fields = fields::parse(input, &mut errors);
        Ok(())
    };
    if let Err(error) = read.parse2(input) {
        errors.push(error);
    }
    let expanded = if cfg!(feature = "enable") { record_enabled(&args) } else { quote!({}) };
    with_errors(errors, expanded)
}

fn record_enabled(args: &Args) -> TokenStream {
    let rt = private(args);
    let records = args.fields.iter().map(|field| {
        let located = private_at(args, field.value.span());
        let at = Span::mixed_site().located_at(field.value.span());
        let key = &field.key;
        let value = &field.value;
        let reference = reference_to(value, at);
        let value = match field.mode {
            Mode::Display => quote_spanned!(at=> #located::FieldValue::display(#reference)),
            Mode::Debug => quote_spanned!(at=> #located::FieldValue::debug(#reference)),
            Mode::Typed if as_str_literal(value).is_some() => {
                quote_spanned!(at=> #located::FieldValue::Static(#value))
            }
            Mode::Typed => quote_spanned!(at=> #located::to_value(#reference)),
        };
        quote!(#rt::current::record_value(#key, #value);)
    });
    quote!({ if #rt::current::is_recording() { #(#records)* } })
}

fn with_errors(errors: Errors, expanded: TokenStream) -> TokenStream {
    if errors.is_empty() {
        return expanded;
    }
    let errors = errors.into_tokens();
    quote!({ #errors #expanded })
}
