//! `#[derive(TraceContext)]`: a message that carries its own trace context.

use crate::error::{Errors, one_of};
use crate::item::{argument, named};
use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::parse::{ParseStream, Parser as _};
use syn::spanned::Spanned as _;
use syn::{Attribute, Ident, ItemStruct, Token, Type};

const WORDS: [&str; 4] = ["headers", "traceparent", "tracestate", "baggage"];

/// The field that carries each part of the context.
#[derive(Default)]
struct Carriers<'a> {
    headers: Option<(&'a Ident, &'a Type, Span)>,
    /// In the order of `WORDS`.
    single: [Option<(&'a Ident, Span)>; 3],
}

pub(crate) fn trace_context(input: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let otherwise = "`TraceContext` is derived for structs with named fields; implement the trait by hand";
    let item = match only_struct(input, otherwise) {
        Ok(item) => item,
        Err(error) => {
            errors.push(error);
            return errors.into_tokens();
        }
    };
    for attr in item.attrs.iter().filter(|attr| attr.path().is_ident("trace")) {
        errors.over(attr, "`#[trace(..)]` belongs on the field that carries the context");
    }
    let carriers = carriers(&item, &mut errors);
    if !errors.is_empty() {
        return errors.into_tokens();
    }
    expand(&item, &carriers)
}

/// The struct that a macro is derived for. An enum or a union is a mistake at its keyword, told in these words.
pub(crate) fn only_struct(input: TokenStream, otherwise: &str) -> syn::Result<ItemStruct> {
    let parser = |input: ParseStream<'_>| {
        let fork = input.fork();
        fork.call(Attribute::parse_outer)?;
        fork.parse::<syn::Visibility>()?;
        if fork.peek(Token![enum]) || fork.peek(Token![union]) {
            return Err(fork.error(otherwise));
        }
        input.parse::<ItemStruct>()
    };
    parser.parse2(input)
}

fn carriers<'a>(item: &'a ItemStruct, errors: &mut Errors) -> Carriers<'a> {
    let mut found = Carriers::default();
    let syn::Fields::Named(fields) = &item.fields else {
        errors.at(item.ident.span(), "`TraceContext` needs named fields; write `struct Order { .. }`");
        return found;
    };
    let mut marked = false;
    for field in &fields.named {
        let Some(name) = &field.ident else { continue };
        let mut here = 0;
        for attr in field.attrs.iter().filter(|attr| attr.path().is_ident("trace")) {
            marked = true;
            let words = match attr
                .parse_args_with(syn::punctuated::Punctuated::<Ident, Token![,]>::parse_terminated)
            {
                Ok(words) if !words.is_empty() => words,
                _ => {
                    errors.over(attr, format_args!("write `#[trace(..)]` with {}", one_of(WORDS)));
                    continue;
                }
            };
            for word in words {
                here += 1;
                if here == 2 {
                    errors.at(
                        word.span(),
                        "one field carries one part of the context; give this one a field of its own",
                    );
                    continue;
                }
                carrier(&mut found, name, &field.ty, &word, errors);
            }
        }
    }
    if !marked {
        let message = "no field carries the trace context; write `#[trace(headers)]` on a header map, \
                       or `#[trace(traceparent)]` on an `Option<String>`";
        errors.at(item.ident.span(), message);
    }
    together(&found, errors);
    found
}

fn carrier<'a>(found: &mut Carriers<'a>, name: &'a Ident, ty: &'a Type, word: &Ident, errors: &mut Errors) {
    let text = word.to_string();
    let twice = || format!("two fields are `#[trace({text})]`; keep one of them");
    if text == "headers" {
        match &found.headers {
            Some(_) => errors.at(word.span(), twice()),
            None => found.headers = Some((name, ty, word.span())),
        }
        return;
    }
    let Some(slot) =
        WORDS.iter().skip(1).position(|known| *known == text).and_then(|at| found.single.get_mut(at))
    else {
        errors.at(word.span(), format_args!("unknown part `{text}`; expected {}", one_of(WORDS)));
        return;
    };
    if slot.is_some() {
        errors.at(word.span(), twice());
    } else if is_option_string(ty) {
        *slot = Some((name, word.span()));
    } else {
        *slot = Some((name, word.span()));
        errors.over(ty, format_args!("`#[trace({text})]` needs the type `Option<String>`"));
    }
}

/// Combinations that cannot mean anything; told at the single field.
fn together(found: &Carriers<'_>, errors: &mut Errors) {
    let [traceparent, tracestate, _] = &found.single;
    if found.headers.is_some() {
        for (_, at) in found.single.iter().flatten() {
            errors.at(*at, "`headers` carry the whole context; remove this mark, or the one on the headers");
        }
    } else if let (None, Some((_, at))) = (traceparent, tracestate) {
        errors.at(*at, "a tracestate means nothing by itself; mark a field `#[trace(traceparent)]`, too");
    }
}

/// By name: an alias of it is told to be spelled out, and no other type is taken by mistake.
fn is_option_string(ty: &Type) -> bool {
    argument(ty, "Option").is_some_and(|ty| named(ty, "String"))
}

fn expand(item: &ItemStruct, carriers: &Carriers<'_>) -> TokenStream {
    let rt = quote_spanned!(Span::mixed_site()=> ::throughline::__private);
    let (inject, extract) = match &carriers.headers {
        Some((name, ty, _)) => {
            // At the field's type: a type that holds no headers is reported there.
            let at = Span::call_site().located_at(ty.span());
            (quote_spanned!(at=> &mut self.#name), quote_spanned!(at=> &self.#name))
        }
        None => {
            let words = ["traceparent", "tracestate", "baggage"];
            let set = words.iter().zip(&carriers.single).filter_map(|(word, field)| {
                let (name, _) = field.as_ref()?;
                Some((Ident::new(word, Span::mixed_site()), *name))
            });
            let (words, names): (Vec<_>, Vec<_>) = set.unzip();
            (
                quote!(&mut #rt::FieldsMut::new() #(.#words(&mut self.#names))*),
                quote!(&#rt::Fields::new() #(.#words(&self.#names))*),
            )
        }
    };
    let name = &item.ident;
    let (impl_generics, ty_generics, where_clause) = item.generics.split_for_impl();
    quote! {
        #[automatically_derived]
        impl #impl_generics #rt::TraceContext for #name #ty_generics #where_clause {
            fn inject_context(&mut self, cx: &#rt::opentelemetry::Context) {
                #rt::inject_context(cx, #inject)
            }
            fn extract_trace_context(&self) -> #rt::opentelemetry::Context {
                #rt::extract_trace_context(#extract)
            }
        }
    }
}
