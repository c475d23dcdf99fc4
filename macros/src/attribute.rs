//! What the attributes do, in order: parse, check, expand. Each returns the item whatever the mistake.

use crate::args::{self, Args, ErrMode};
use crate::check;
use crate::error::Errors;
use crate::expand::{self, Opening, Plan};
use crate::item;
use crate::kafka;
use crate::kafka_producer::{self, Producer};
use crate::run;
use crate::words;
use proc_macro2::TokenStream;
use syn::ext::IdentExt as _;

pub(crate) fn traced_span(args: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let mut args = args::parse(args, &words::TRACED_SPAN, &mut errors);
    check::arguments(&args, &mut errors);
    let Some(function) = item::parse(&item, "traced_span", &mut errors) else {
        return with_errors(errors, item);
    };
    if !check::function(&args, &function, "traced_span", &mut errors) || cfg!(not(feature = "enable")) {
        return with_errors(errors, item);
    }
    drop_useless(&mut args, &function);
    let default_name = function.sig.ident.unraw().to_string();
    let plan = Plan { args: &args, default_name, opening: Opening::Plain, function: Some(&function) };
    with_errors(errors, expand::function(&plan, &function, &function.head))
}

pub(crate) fn kafka_consumer(args: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let mut args = args::parse(args, &kafka::KAFKA_CONSUMER, &mut errors);
    args.kind = Some(args::Kind::Consumer);
    let Some(function) = item::parse(&item, "kafka_consumer", &mut errors) else {
        return with_errors(errors, item);
    };
    let head = kafka::head_without_marker(&function);
    let untouched = if kafka::is_marked(&function) { unwrapped(&head, &function) } else { item };
    let wraps = check::function(&args, &function, "kafka_consumer", &mut errors);
    run::check(&args, &function, &mut errors);
    let rt = expand::private(&args);
    let module = run::module(&args, &function, &rt, &kafka::constant_options(&args, &function, &rt));
    let untouched = quote::quote!(#untouched #module);
    let Some(opening) = kafka::opening(&args, &function, &rt, &mut errors) else {
        return with_errors(errors, untouched);
    };
    if !wraps || cfg!(not(feature = "enable")) {
        return with_errors(errors, untouched);
    }
    drop_useless(&mut args, &function);
    let plan = Plan { args: &args, default_name: "process".to_owned(), opening, function: Some(&function) };
    let expanded = expand::function(&plan, &function, &head);
    with_errors(errors, quote::quote!(#expanded #module))
}

pub(crate) fn kafka_producer(args: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let mut args = args::parse(args, &kafka_producer::KAFKA_PRODUCER, &mut errors);
    args.kind = Some(args::Kind::Producer);
    let Some(function) = item::parse(&item, "kafka_producer", &mut errors) else {
        return with_errors(errors, item);
    };
    let untouched = if kafka_producer::is_marked(&function) {
        unwrapped(&kafka_producer::head_without_marker(&function), &function)
    } else {
        item
    };
    let wraps = check::function(&args, &function, "kafka_producer", &mut errors);
    let rt = expand::private(&args);
    let Some(producer) = Producer::of(&args, &function, &rt, &mut errors) else {
        return with_errors(errors, untouched);
    };
    if !wraps || cfg!(not(feature = "enable")) {
        return with_errors(errors, untouched);
    }
    drop_useless(&mut args, &function);
    let opening = Opening::Producer(producer);
    let plan = Plan { args: &args, default_name: "send".to_owned(), opening, function: Some(&function) };
    with_errors(errors, expand::function(&plan, &function, &kafka_producer::head(&function)))
}

/// The function as it was written, under another head.
fn unwrapped(head: &TokenStream, function: &item::Function) -> TokenStream {
    let (attrs, inner) = (&function.inner_attrs, function.body.stream());
    let mut group = proc_macro2::Group::new(proc_macro2::Delimiter::Brace, quote::quote!(#attrs #inner));
    group.set_span(function.body.span());
    quote::quote!(#head #group)
}

/// Takes out what was already reported and would only cause a second error in the expansion.
fn drop_useless(args: &mut Args, function: &item::Function) {
    args.fields.retain(|field| match &field.value {
        crate::fields::Value::Named(name) => function.parameter(name).is_some(),
        crate::fields::Value::Expr(_) => true,
    });
    if function.returns_nothing() && !matches!(args.err, Some(ErrMode::Ignore)) {
        args.err = None;
    }
    if function.sig.asyncness.is_some() || function.returns_nothing() {
        args.returns = None;
    }
    if args.root {
        args.parent = None;
    }
}

fn with_errors(errors: Errors, item: TokenStream) -> TokenStream {
    let mut tokens = errors.into_tokens();
    tokens.extend(item);
    tokens
}
