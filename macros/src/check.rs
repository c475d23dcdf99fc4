//! Contradictions: between two arguments, and between an argument and the function.

use crate::args::{Args, ErrMode, Kind, Returns};
use crate::error::{Errors, one_of};
use crate::fields::Value;
use crate::item::{Function, Returned};

/// Arguments that exclude each other; told at the second one.
pub(crate) fn arguments(args: &Args, errors: &mut Errors) {
    if args.root
        && args.parent.is_some()
        && let Some(second) = args.second("root", "parent")
    {
        errors.at(second, "`root` and `parent` exclude each other; keep one of them");
    }
    if args.leaf
        && matches!(args.kind, Some(Kind::Server | Kind::Producer | Kind::Consumer))
        && let Some(second) = args.second("leaf", "kind")
    {
        errors.at(
            second,
            "a `leaf` is not seen by others, and this kind of span exists to be seen; remove one of them",
        );
    }
}

/// Arguments that this function has no use for. `false`: it cannot be wrapped at all and must come back unchanged.
pub(crate) fn function(args: &Args, function: &Function, macro_name: &str, errors: &mut Errors) -> bool {
    let is_async = function.sig.asyncness.is_some();
    let returned = function.returned();
    if let Some(at) = args.seen("err") {
        match (&args.err, &returned) {
            (Some(_), Returned::Nothing | Returned::Never) => {
                errors.at(at, "this function returns no `Result`; remove `err`");
            }
            (Some(ErrMode::Debug(_) | ErrMode::With(_)), Returned::Stream { .. }) => {
                errors.at(at, "the items of a stream are not looked at; remove `err`");
            }
            _ => {}
        }
    }
    if args.returns.is_some()
        && is_async
        && let Some(at) = args.seen("returns")
    {
        errors.at(at, "an `async fn` says itself what it returns; remove `returns`");
    }
    let makes_future = matches!(args.returns, Some(Returns::Future | Returns::Stream));
    if makes_future
        && matches!(returned, Returned::Nothing | Returned::Never)
        && !is_async
        && let Some(at) = args.seen("returns")
    {
        errors.at(at, "this function returns nothing; remove `returns`");
    }
    bare_fields(args, function, errors);
    if let Some(twice) = function.attr(macro_name) {
        let message = format!("`#[{macro_name}]` is on this function twice; remove one of them");
        errors.push(syn::Error::new_spanned(twice, message));
    }
    track_caller(args, function, macro_name, errors)
}

/// A bare word in `fields(..)` is a parameter; anything else is written `NAME = EXPR`.
fn bare_fields(args: &Args, function: &Function, errors: &mut Errors) {
    for field in &args.fields {
        let Value::Named(name) = &field.value else { continue };
        if function.parameter(name).is_some() {
            continue;
        }
        let names = function.parameter_names();
        let known = match names.as_slice() {
            [] => String::new(),
            names => format!(" (parameters: {})", one_of(names.iter().map(String::as_str))),
        };
        errors.at(
            name.span(),
            format_args!("`{name}` is not a parameter of this function{known}; write `{name} = EXPR`"),
        );
    }
}

/// `#[track_caller]` reaches through a guard, but not through a closure or a future.
fn track_caller(args: &Args, function: &Function, macro_name: &str, errors: &mut Errors) -> bool {
    let Some(attr) = function.attr("track_caller") else { return true };
    let future = matches!(function.returned(), Returned::Future { .. } | Returned::Stream { .. })
        || matches!(args.returns, Some(Returns::Future | Returns::Stream));
    let by_value = matches!(args.returns, Some(Returns::Value));
    if function.sig.asyncness.is_some() || (future && !by_value) {
        let message = format!(
            "`#[track_caller]` with `#[{macro_name}]` is not possible on async functions; remove one of them"
        );
        errors.over(attr, message);
        return false;
    }
    let guarded = matches!(function.returned(), Returned::Nothing | Returned::Never)
        || matches!(args.err, Some(ErrMode::Ignore));
    if !guarded {
        errors.over(
            attr,
            "with `#[track_caller]`, the closure round the body would become the caller; add `err = ignore`",
        );
    }
    guarded
}
