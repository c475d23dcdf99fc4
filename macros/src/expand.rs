//! The expansion: calls into `throughline::__private`, round the user's body as it was written. Cannot fail.
//!
//! Names of ours are `mixed_site`, located at the token that a message about them should point at.

use crate::args::{Args, ErrMode, Kind, Name, Returns};
use crate::fields::{Field, Mode, Value, as_str_literal};
use crate::item::{Function, Returned, is_infer, is_static_str, nameable};
use crate::kafka;
use crate::kafka_producer::{self, Producer};
use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned as _;
use syn::{Expr, Type};

/// Which slot holds the span: on the stack, attached from the start, or owned by a future.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slot {
    Stack,
    Owned,
}

/// How the span is opened.
pub(crate) enum Opening {
    Plain,
    /// `RT::kafka::enter(&mut span, &mut measure, &message, || options)`, or its batch form.
    Consumer {
        /// `None` for a handler of the runner that takes a message struct: `RT::kafka::enter_any(..)`.
        message: Option<Ident>,
        batch: bool,
        options: TokenStream,
    },
    /// `RT::kafka::open_produce(&mut span, &mut producing, ..)`
    Producer(Producer),
}

/// What an expansion is made of, apart from the user's code.
pub(crate) struct Plan<'a> {
    pub(crate) args: &'a Args,
    /// The span's name where no argument gives a literal one.
    pub(crate) default_name: String,
    pub(crate) opening: Opening,
    /// The function whose parameters the fields name; `None` inside a body.
    pub(crate) function: Option<&'a Function>,
}

/// `::throughline::__private`, or what `crate = PATH` says.
pub(crate) fn private(args: &Args) -> TokenStream {
    private_at(args, Span::call_site())
}

/// The same, for calls that a message of the compiler may be about: all of it has the place of the user's token.
pub(crate) fn private_at(args: &Args, at: Span) -> TokenStream {
    match &args.krate {
        Some(path) => quote!(#path::__private),
        None => quote_spanned!(Span::mixed_site().located_at(at)=> ::throughline::__private),
    }
}

fn ours(name: &str, at: Span) -> Ident {
    Ident::new(name, Span::mixed_site().located_at(at))
}

/// The tokens of the whole function.
pub(crate) fn function(plan: &Plan<'_>, function: &Function, head: &TokenStream) -> TokenStream {
    let rt = private(plan.args);
    let body = &function.body;
    let ret_span = function.return_span();
    let ignore = matches!(plan.args.err, Some(ErrMode::Ignore));
    let returned = overruled(function.returned(), function, plan.args.returns);

    let inner = if let Opening::Producer(_) = &plan.opening {
        producer_body(plan, function, &rt, &returned)
    } else if function.sig.asyncness.is_some() {
        async_body(plan, function, &rt)
    } else {
        match returned {
            Returned::Nothing | Returned::Never => guarded(plan, &rt, body),
            Returned::Value(_) if ignore => guarded(plan, &rt, body),
            Returned::Value(ty) => {
                let ty = nameable(&ty);
                let span = ours("span", Span::call_site());
                let open = plan.open(&rt, &span, Slot::Stack);
                let probe = plan.probe(ret_span);
                let wrapper = plan.wrapper(&rt, &ours("in_span", ret_span));
                let slot = plan.slot(&quote!(&mut #span));
                quote!(#open #wrapper::<#ty, _, _>(#slot, move || #body, #probe))
            }
            Returned::Future { ty, output, boxed } => {
                let span = ours("span", Span::call_site());
                let future = ours("future", ret_span);
                let open = plan.open(&rt, &span, Slot::Owned);
                let probe = plan.probe(ret_span);
                let ty = nameable(&ty);
                let output = output.as_ref().map_or_else(|| quote!(_), |ty| nameable(ty).into_token_stream());
                let wrapper = plan.wrapper(&rt, &ours("traced", Span::call_site()));
                let slot = plan.slot(&quote!(#span));
                let wrapped = quote!(#wrapper(#slot, #future, #probe));
                let wrapped = if boxed { quote!(#rt::boxed(#wrapped)) } else { wrapped };
                quote! {
                    #open
                    let #future = #rt::future_in::<#output, #ty, _>(&mut #span, move || #body);
                    #wrapped
                }
            }
            Returned::Stream { ty, boxed } => {
                let span = ours("span", Span::call_site());
                let stream = ours("stream", ret_span);
                let open = plan.open(&rt, &span, Slot::Owned);
                let ty = nameable(&ty);
                let wrapper = plan.wrapper(&rt, &ours("traced_stream", Span::call_site()));
                let slot = plan.slot(&quote!(#span));
                let wrapped = quote!(#wrapper(#slot, #stream));
                let wrapped = if boxed { quote!(#rt::boxed(#wrapped)) } else { wrapped };
                quote! {
                    #open
                    let #stream = #rt::stream_in::<#ty, _>(&mut #span, move || #body);
                    #wrapped
                }
            }
        }
    };
    let inner_attrs = &function.inner_attrs;
    let outer = braces(body, quote!(#inner_attrs #inner));
    // The body keeps its braces inside the ones that hold the calls; for a body of one expression that would warn. An
    // `async fn` that returns a future (a `JoinHandle`) is no `async` block that forgot to await one.
    let allow = match function.sig.asyncness {
        Some(_) => quote!(#[allow(unused_braces, clippy::async_yields_async)]),
        None => quote!(#[allow(unused_braces)]),
    };
    quote!(#allow #head #outer)
}

/// A group in the user's brace token: other spans lose lints on the user's code.
fn braces(body: &Group, inner: TokenStream) -> Group {
    let mut group = Group::new(Delimiter::Brace, inner);
    group.set_span(body.span());
    group
}

/// Shape A: a guard before the body.
fn guarded(plan: &Plan<'_>, rt: &TokenStream, body: &Group) -> TokenStream {
    let span = ours("span", Span::call_site());
    let open = plan.open(rt, &span, Slot::Stack);
    quote!(#open #body)
}

/// Shape C: one async block inside a wrapper. The slot stays where it is and is lent: moving it would copy it, and keep it
/// in the future twice.
fn async_body(plan: &Plan<'_>, function: &Function, rt: &TokenStream) -> TokenStream {
    let ret_span = function.return_span();
    let span = ours("span", Span::call_site());
    let open = plan.open(rt, &span, Slot::Owned);
    let probe = plan.probe(ret_span);
    let edge = return_edge(function.returned_type().as_ref(), plan.args, ret_span);
    let body = &function.body;
    let block = braces(body, quote!(#edge #body));
    let wrapper = plan.wrapper(rt, &ours("traced", Span::call_site()));
    let slot = plan.slot(&quote!(&mut #span));
    quote!(#open #wrapper(#slot, async move #block, #probe).await)
}

/// The shapes of a producer: its span may be taken over by a record, so it is held by a scope of its own.
fn producer_body(plan: &Plan<'_>, function: &Function, rt: &TokenStream, returned: &Returned) -> TokenStream {
    let ret_span = function.return_span();
    let (span, producing) = (ours("span", Span::call_site()), ours("producing", Span::call_site()));
    let open = plan.open(rt, &span, Slot::Owned);
    let scope = quote!(#rt::kafka::scope(#span, #producing));
    let probe = plan.probe(ret_span);
    let look = kafka_producer::look(rt, function);
    let body = &function.body;
    if function.sig.asyncness.is_some() {
        let edge = return_edge(function.returned_type().as_ref(), plan.args, ret_span);
        let block = braces(body, quote!(#edge #body));
        return quote!(#rt::kafka::produce({ #open #scope }, async move #block, #probe, #look).await);
    }
    match returned {
        Returned::Future { ty, output, boxed } => {
            let (scoped, future) = (ours("scope", Span::call_site()), ours("future", ret_span));
            let ty = nameable(ty);
            let output = output.as_ref().map_or_else(|| quote!(_), |ty| nameable(ty).into_token_stream());
            let wrapped = quote!(#rt::kafka::produce(#scoped, #future, #probe, #look));
            let wrapped = if *boxed { quote!(#rt::boxed(#wrapped)) } else { wrapped };
            quote! {
                #open
                let #scoped = #scope;
                let #future = #rt::kafka::future_within::<#output, #ty, _>(&#scoped, move || #body);
                #wrapped
            }
        }
        Returned::Value(ty) => {
            let ty = nameable(ty);
            let call = quote_spanned!(Span::mixed_site().located_at(ret_span)=> produce_sync);
            quote!(#open #rt::kafka::#call::<#ty, _, _, _>(#scope, move || #body, #probe, #look))
        }
        Returned::Nothing | Returned::Never | Returned::Stream { .. } => {
            quote!(#open #rt::kafka::produce_sync::<(), _, _, _>(#scope, move || #body, #probe, #look))
        }
    }
}

/// Tells the async block its type, at the user's return type, so that a mismatch is reported against it.
fn return_edge(ty: Option<&Type>, args: &Args, at: Span) -> TokenStream {
    match ty {
        Some(ty) if !is_infer(ty) => {
            let rt = private_at(args, at);
            quote_spanned!(Span::mixed_site().located_at(at)=> if false { return #rt::edge::<#ty>(); })
        }
        _ => TokenStream::new(),
    }
}

/// The return type as `returns = ..` overrules it.
fn overruled(returned: Returned, function: &Function, returns: Option<Returns>) -> Returned {
    let Some(returns) = returns else { return returned };
    let Some(ty) = function.returned_type() else { return returned };
    let is_opaque = is_infer(&ty);
    match (returns, returned) {
        (Returns::Future, kept @ Returned::Future { .. }) => kept,
        (Returns::Stream, kept @ Returned::Stream { .. }) => kept,
        (Returns::Future, _) => Returned::Future { ty, output: None, boxed: !is_opaque },
        (Returns::Stream, _) => Returned::Stream { ty, boxed: !is_opaque },
        (Returns::Value, _) => Returned::Value(ty),
    }
}

impl Function {
    /// The written return type in a form that can stand inside the body; `None` for nothing and for `!`.
    fn returned_type(&self) -> Option<Type> {
        match self.returned() {
            Returned::Nothing => Some(unit(self.return_span())),
            Returned::Never => None,
            Returned::Value(ty) | Returned::Future { ty, .. } | Returned::Stream { ty, .. } => {
                Some(nameable(&ty))
            }
        }
    }
}

fn unit(at: Span) -> Type {
    let paren_token = syn::token::Paren(Span::mixed_site().located_at(at));
    Type::Tuple(syn::TypeTuple { attrs: Vec::new(), paren_token, elems: syn::punctuated::Punctuated::new() })
}

impl Plan<'_> {
    /// `let mut span = RT::Span::idle(&SITE); if RT::enter(&mut span) { .. }`
    pub(crate) fn open(&self, rt: &TokenStream, span: &Ident, slot: Slot) -> TokenStream {
        let site = self.site(rt);
        let ty = match slot {
            Slot::Stack => quote!(Span),
            Slot::Owned => quote!(OwnedSpan),
        };
        let condition = self.condition(rt, span, slot);
        let sets = self.args.fields.iter().enumerate().map(|(index, field)| self.set(span, index, field));
        let beside = match &self.opening {
            Opening::Plain => None,
            Opening::Consumer { .. } => {
                self.measure().map(|measure| quote!(let mut #measure = #rt::kafka::Measure::idle();))
            }
            Opening::Producer(_) => {
                let producing = ours("producing", Span::call_site());
                Some(quote!(let mut #producing = #rt::kafka::Producing::idle();))
            }
        };
        quote! {
            let mut #span = #rt::#ty::idle(#site);
            #beside
            if #condition { #(#sets)* }
        }
    }

    /// The variable that measures a consumer; other spans are not measured.
    fn measure(&self) -> Option<Ident> {
        matches!(self.opening, Opening::Consumer { .. }).then(|| ours("measure", Span::call_site()))
    }

    /// The function that ends the span with what it wraps: a consumer's ends the measurement too.
    fn wrapper(&self, rt: &TokenStream, name: &Ident) -> TokenStream {
        if self.measure().is_some() { quote!(#rt::kafka::#name) } else { quote!(#rt::#name) }
    }

    /// What that function takes first.
    fn slot(&self, span: &TokenStream) -> TokenStream {
        match self.measure() {
            Some(measure) => quote!((#span, #measure)),
            None => span.clone(),
        }
    }

    /// A reference to the call site's constants. In a block of its own: the user's code must not see the name.
    fn site(&self, rt: &TokenStream) -> TokenStream {
        let name = match &self.args.name {
            Some(Name::Literal(literal)) => literal.to_token_stream(),
            _ => {
                let name = &self.default_name;
                quote!(#name)
            }
        };
        let kind = match self.args.kind {
            None | Some(Kind::Internal) => quote!(Internal),
            Some(Kind::Server) => quote!(Server),
            Some(Kind::Client) => quote!(Client),
            Some(Kind::Producer) => quote!(Producer),
            Some(Kind::Consumer) => quote!(Consumer),
        };
        let keys = self.args.fields.iter().map(|field| &field.key);
        let scope = match self.args.scope.as_ref().and_then(literal_str) {
            Some(scope) => quote!(::core::option::Option::Some(#scope), ::core::option::Option::None),
            None => quote!(::core::option_env!("CARGO_PKG_NAME"), ::core::option_env!("CARGO_PKG_VERSION")),
        };
        let marker = ours("f", Span::call_site());
        quote!({
            static SITE: #rt::Site = #rt::Site::new(
                #name,
                #rt::Kind::#kind,
                &[#(#keys),*],
                #rt::Scope::new(#scope),
                ::core::file!(),
                ::core::line!(),
                { fn #marker() {} || #rt::path_of(#marker) },
            );
            &SITE
        })
    }

    fn condition(&self, rt: &TokenStream, span: &Ident, slot: Slot) -> TokenStream {
        if let Opening::Consumer { message, batch, options } = &self.opening {
            let measure = self.measure();
            let Some(message) = message else {
                let call = match slot {
                    Slot::Stack => quote!(enter_any),
                    Slot::Owned => quote!(open_any),
                };
                return quote!(#rt::kafka::#call(&mut #span, &mut #measure, || #options));
            };
            let call = match (slot, batch) {
                (Slot::Stack, false) => quote!(enter),
                (Slot::Stack, true) => quote!(enter_batch),
                (Slot::Owned, false) => quote!(open),
                (Slot::Owned, true) => quote!(open_batch),
            };
            let rt = private_at(self.args, message.span());
            let at = Span::mixed_site().located_at(message.span());
            let options = if !batch && kafka::are_constant(self.args) {
                let name = ours("OPTIONS", message.span());
                let rt = private(self.args);
                quote!({
                    static #name: #rt::kafka::ConstantOptions = #rt::kafka::ConstantOptions::new(|| #options);
                    &#name
                })
            } else {
                quote!(|| #options)
            };
            return quote_spanned!(at=> #rt::kafka::#call(&mut #span, &mut #measure, &#message, #options));
        }
        if let Opening::Producer(producer) = &self.opening {
            let producing = ours("producing", Span::call_site());
            return producer.condition(rt, self.function, span, &producing);
        }
        let options = self.options(rt);
        let verb = match slot {
            Slot::Stack => "enter",
            Slot::Owned => "open",
        };
        let call = |suffix: &str| ours(&format!("{verb}{suffix}"), Span::call_site());
        match options {
            // The state is asked first, so that a name is not built when tracing is off.
            Some(options) => {
                let call = call(if self.args.leaf { "_leaf_with" } else { "_with" });
                quote!(#rt::on() && #rt::#call(&mut #span, #options))
            }
            None => {
                let call = call(if self.args.leaf { "_leaf" } else { "" });
                quote!(#rt::#call(&mut #span))
            }
        }
    }

    /// What is only known when the function is called; `None` when the constants say it all.
    fn options(&self, rt: &TokenStream) -> Option<TokenStream> {
        let args = self.args;
        let mut calls = TokenStream::new();
        if let Some(Name::Expr(name)) = &args.name {
            calls.extend(call_at("name", name));
        }
        if let Some(parent) = &args.parent {
            calls.extend(call_at("parent", parent));
        }
        if args.root {
            calls.extend(quote!(.root()));
        }
        if let Some(links) = &args.links {
            calls.extend(call_at("links", links));
        }
        if let Some(scope) = args.scope.as_ref().filter(|scope| literal_str(scope).is_none()) {
            calls.extend(call_at("scope", scope));
        }
        if calls.is_empty() {
            return None;
        }
        Some(quote!(#rt::Options::new() #calls))
    }

    fn set(&self, span: &Ident, index: usize, field: &Field) -> TokenStream {
        let rt = private_at(self.args, field.value.span());
        let at = Span::mixed_site().located_at(field.value.span());
        let value = &field.value;
        let reference = reference_to(value, at);
        let (verb, value) = match field.mode {
            Mode::Display => ("set_display", reference),
            Mode::Debug => ("set_debug", reference),
            Mode::Typed if self.is_static(value) => ("set_static", value.to_token_stream()),
            Mode::Typed => ("set", reference),
        };
        let verb = Ident::new(verb, at);
        match self.measure() {
            // A consumer's fields may belong to the process span of the runner, which has a call site of its own.
            Some(measure) => {
                let key = &field.key;
                quote_spanned!(at=> #rt::kafka::#verb(&mut #span, &#measure, #index, #key, #value);)
            }
            None => quote_spanned!(at=> #rt::#verb(&mut #span, #index, #value);),
        }
    }

    fn is_static(&self, value: &Value) -> bool {
        if as_str_literal(value).is_some() {
            return true;
        }
        match (value, self.function) {
            (Value::Named(name), Some(function)) => {
                function.parameter(name).flatten().is_some_and(is_static_str)
            }
            _ => false,
        }
    }

    /// What looks at the returned value.
    pub(crate) fn probe(&self, at: Span) -> TokenStream {
        let rt = private_at(self.args, at);
        let r = ours("r", at);
        let at = Span::mixed_site().located_at(at);
        match &self.args.err {
            Some(ErrMode::Ignore) => quote_spanned!(at=> |_| #rt::Outcome::None),
            Some(ErrMode::Debug(span)) => {
                let at = Span::mixed_site().located_at(*span);
                quote_spanned!(at=> |#r| #rt::outcome_by(#r, |#r| { use #rt::probe_debug::*; (&&#rt::DebugProbe(#r)).outcome() }))
            }
            Some(ErrMode::With(path)) => {
                let at = Span::mixed_site().located_at(path.span());
                quote_spanned!(at=> |#r| #rt::outcome_with(#r, #path))
            }
            None if self.function.is_some_and(Function::returns_nothing) => {
                quote_spanned!(at=> |_| #rt::Outcome::None)
            }
            None if matches!(self.opening, Opening::Producer(_)) => quote_spanned!(at=> |#r| {
                use #rt::{kafka::probe_kafka::*, probe::*};
                (&&&&&&#rt::Probe(#r)).outcome()
            }),
            None => quote_spanned!(at=> |#r| { use #rt::probe::*; (&&&&&#rt::Probe(#r)).outcome() }),
        }
    }
}

/// `.word(EXPR)`, located at the user's expression.
pub(crate) fn call_at(word: &str, value: &Expr) -> TokenStream {
    let word = ours(word, value.span());
    quote!(.#word(#value))
}

/// `&VALUE`, in parentheses where the expression needs them.
pub(crate) fn reference_to(value: &Value, at: Span) -> TokenStream {
    match value {
        Value::Named(name) => quote_spanned!(at=> &#name),
        Value::Expr(expr) => {
            let reference = Expr::Reference(syn::ExprReference {
                attrs: Vec::new(),
                and_token: syn::Token![&](at),
                mutability: None,
                expr: Box::new(expr.clone()),
            });
            reference.into_token_stream()
        }
    }
}

fn literal_str(expr: &Expr) -> Option<&syn::LitStr> {
    match expr {
        Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(literal), .. }) => Some(literal),
        _ => None,
    }
}
