//! Calls into `throughline::__private::kafka::derived`; cannot fail.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens as _, quote, quote_spanned};
use syn::spanned::Spanned as _;
use syn::{Ident, Path, Type};

use super::{BuiltIn, Field, Message, Role, body};
use crate::item::{argument, named};

pub(super) fn rt() -> TokenStream {
    quote_spanned!(Span::mixed_site()=> ::throughline::__private)
}

pub(super) fn expand(message: &Message) -> TokenStream {
    let rt = rt();
    let name = &message.item.ident;
    let (impl_generics, ty_generics, where_clause) = message.item.generics.split_for_impl();
    let topic = message.settings.topic.as_ref().map(|topic| {
        // All of the call stands at the constant, where the compiler then reports an illegal one.
        let at = Span::call_site().located_at(topic.span());
        quote_spanned!(at=> ::throughline::__private::kafka::derived::topic(#topic))
    });
    let to_record = to_record(message, &rt);
    let argument = Ident::new("message", Span::mixed_site());
    let from_message = from_message(message, &argument, &rt);
    let body = body::expand(message, &rt);
    let trace = trace(message, &rt);
    // The topic is a constant by itself, so that the compiler looks at it whether or not somebody uses the message.
    quote! {
        const _: () = {
            const __THROUGHLINE_TOPIC: &::core::primitive::str = #topic;
            #body
            #[automatically_derived]
            impl #impl_generics #rt::kafka::KafkaMessage for #name #ty_generics #where_clause {
                const TOPIC: &'static str = __THROUGHLINE_TOPIC;
                fn to_record(&self) -> ::core::result::Result<#rt::kafka::Record, #rt::kafka::EncodeError> {
                    #to_record
                }
                fn from_message<__M: #rt::kafka::ConsumedMessage + ?::core::marker::Sized>(
                    #argument: &__M,
                ) -> ::core::result::Result<Self, #rt::kafka::DecodeError> {
                    #from_message
                }
            }
            #trace
        };
    }
}

/// A message that only looks like one, beside the errors.
pub(super) fn placeholder(message: &Message) -> TokenStream {
    let rt = rt();
    let name = &message.item.ident;
    let (impl_generics, ty_generics, where_clause) = message.item.generics.split_for_impl();
    quote! {
        #[automatically_derived]
        impl #impl_generics #rt::kafka::KafkaMessage for #name #ty_generics #where_clause {
            const TOPIC: &'static str = "";
            fn to_record(&self) -> ::core::result::Result<#rt::kafka::Record, #rt::kafka::EncodeError> {
                loop {}
            }
            fn from_message<__M: #rt::kafka::ConsumedMessage + ?::core::marker::Sized>(
                _: &__M,
            ) -> ::core::result::Result<Self, #rt::kafka::DecodeError> {
                loop {}
            }
        }
    }
}

fn to_record(message: &Message, rt: &TokenStream) -> TokenStream {
    let write = Ident::new("write", Span::mixed_site());
    let names = header_names(message);
    let constants =
        message.settings.constants().map(|(header, value)| quote!(#write.constant(#header, #value);));
    // The struct's own headers come first, whatever the order of the fields is.
    let (rest, parts): (Vec<&Field>, Vec<&Field>) =
        message.fields.iter().partition(|field| matches!(field.role, Role::Headers(_)));
    let parts = parts.into_iter().chain(rest).filter_map(|field| part(field, &write, rt));
    let codec = codec(message, rt);
    let value = match message.payload() {
        Some(payload) => {
            let (method, inner) = payload_shape(payload);
            let at = Span::call_site().located_at(inner.span());
            let name = &payload.name;
            let method = Ident::new(method, at);
            quote_spanned!(at=> #write.#method::<#codec, #inner>(&self.#name))
        }
        None => quote!(#write.body::<#codec, Self>(self)),
    };
    let new =
        quote!(#rt::kafka::derived::Write::new(<Self as #rt::kafka::KafkaMessage>::TOPIC, &[#(#names),*]));
    quote! {
        #[allow(unused_mut)] // a message of a value alone
        let mut #write = #new;
        #(#constants)*
        #(#parts)*
        #value
    }
}

/// The statement that writes a field; none for what is in the value.
fn part(field: &Field, write: &Ident, rt: &TokenStream) -> Option<TokenStream> {
    let name = &field.name;
    let at = Span::call_site().located_at(field.ty.span());
    Some(match &field.role {
        Role::Key { with, .. } => {
            let (method, inner) = key_shape(&field.ty);
            let (method, form) = (Ident::new(method, at), form(inner, with.as_ref(), rt));
            quote_spanned!(at=> #write.#method(&self.#name, &#form);)
        }
        Role::Header { name: header, baggage: Some(_), .. } => {
            let method = Ident::new(baggage_method(&field.ty), at);
            quote_spanned!(at=> #write.#method(#header, &self.#name);)
        }
        Role::Header { name: header, with, .. } => {
            let (method, inner) = header_shape(&field.ty);
            let (method, form) = (Ident::new(method, at), form(inner, with.as_ref(), rt));
            quote_spanned!(at=> #write.#method(#header, &self.#name, &#form);)
        }
        Role::Timestamp(_) => quote_spanned!(at=> #write.timestamp(&self.#name);),
        Role::Partition(_) => quote_spanned!(at=> #write.partition(&self.#name);),
        Role::Trace(_) => quote_spanned!(at=> #write.trace(&self.#name);),
        Role::Headers(_) => quote_spanned!(at=> #write.headers(&self.#name);),
        Role::Payload(_) | Role::Body | Role::Skipped => return None,
    })
}

fn from_message(message: &Message, argument: &Ident, rt: &TokenStream) -> TokenStream {
    let read = Ident::new("read", Span::mixed_site());
    let body = Ident::new("body", Span::mixed_site());
    let names = header_names(message);
    let event = message.settings.event.as_ref().map(|event| quote!(#read.event(#event)?;));
    let codec = codec(message, rt);
    let whole = message.payload().is_none().then(|| quote!(let #body = #read.body::<#codec, Self>()?;));
    let fields = message.fields.iter().map(|field| {
        let name = &field.name;
        let value = field_value(field, message, &read, &body, rt);
        quote!(#name: #value)
    });
    quote! {
        let #read = #rt::kafka::derived::Read::new(#argument, &[#(#names),*]);
        #event
        #whole
        ::core::result::Result::Ok(Self { #(#fields),* })
    }
}

fn field_value(
    field: &Field,
    message: &Message,
    read: &Ident,
    body: &Ident,
    rt: &TokenStream,
) -> TokenStream {
    let name = &field.name;
    let at = Span::call_site().located_at(field.ty.span());
    match &field.role {
        Role::Key { with, .. } => {
            let (method, inner) = key_shape(&field.ty);
            let (method, form) = (Ident::new(method, at), form(inner, with.as_ref(), rt));
            quote_spanned!(at=> #read.#method(&#form)?)
        }
        Role::Header { name: header, baggage: Some(_), .. } => {
            let method = Ident::new(baggage_method(&field.ty), at);
            quote_spanned!(at=> #read.#method(#header)?)
        }
        Role::Header { name: header, with, .. } => {
            let (method, inner) = header_shape(&field.ty);
            let (method, form) = (Ident::new(method, at), form(inner, with.as_ref(), rt));
            quote_spanned!(at=> #read.#method(#header, &#form)?)
        }
        Role::Timestamp(_) => quote_spanned!(at=> #read.timestamp()?),
        Role::Partition(_) => quote_spanned!(at=> #read.partition()),
        Role::Trace(_) => quote_spanned!(at=> #read.trace()),
        Role::Headers(_) => quote_spanned!(at=> #read.headers()),
        Role::Payload(_) => {
            let (method, inner) = payload_shape(field);
            let method = Ident::new(method, at);
            let codec = codec(message, rt);
            quote_spanned!(at=> #read.#method::<#codec, #inner>()?)
        }
        // The private struct has the skipped fields, too, since serde knows where they come from.
        Role::Body => quote!(#body.#name),
        Role::Skipped if message.payload().is_none() => quote!(#body.#name),
        Role::Skipped => match &field.serde.default {
            Some(function) => {
                let function = super::serde::path(function);
                quote!(#function())
            }
            None => quote_spanned!(at=> ::core::default::Default::default()),
        },
    }
}

/// The trait of messages that carry their trace, where there is a field for it.
fn trace(message: &Message, rt: &TokenStream) -> Option<TokenStream> {
    let of =
        |is: fn(&Role) -> bool| message.fields.iter().find(|field| is(&field.role)).map(|field| &field.name);
    let (inject, extract) = if let Some(name) = of(|role| matches!(role, Role::Trace(_))) {
        (
            quote!(#rt::kafka::derived::inject(cx, &mut self.#name)),
            quote!(#rt::kafka::derived::extract(&self.#name)),
        )
    } else {
        let name = of(|role| matches!(role, Role::Headers(_)))?;
        (quote!(#rt::inject_context(cx, &mut self.#name)), quote!(#rt::extract_trace_context(&self.#name)))
    };
    let name = &message.item.ident;
    let (impl_generics, ty_generics, where_clause) = message.item.generics.split_for_impl();
    Some(quote! {
        #[automatically_derived]
        impl #impl_generics #rt::TraceContext for #name #ty_generics #where_clause {
            fn inject_context(&mut self, cx: &#rt::opentelemetry::Context) {
                #inject
            }
            fn extract_trace_context(&self) -> #rt::opentelemetry::Context {
                #extract
            }
        }
    })
}

/// Every header that is a field or a constant of the struct.
fn header_names(message: &Message) -> Vec<String> {
    let constants = message.settings.constants().map(|(header, _)| header.to_owned());
    let fields = message.fields.iter().filter_map(|field| match &field.role {
        Role::Header { name, .. } => Some(name.value()),
        _ => None,
    });
    constants.chain(fields).collect()
}

fn codec(message: &Message, rt: &TokenStream) -> TokenStream {
    let settings = &message.settings;
    match (settings.built_in(), &settings.codec) {
        (Some(built_in), codec) => {
            let at = codec
                .as_ref()
                .map_or_else(Span::mixed_site, |codec| Span::call_site().located_at(codec.span()));
            let name = match built_in {
                BuiltIn::Json => "Json",
                BuiltIn::Raw => "Raw",
                BuiltIn::Protobuf => "Protobuf",
            };
            let name = Ident::new(name, at);
            quote!(#rt::kafka::#name)
        }
        (None, codec) => codec.to_token_stream(),
    }
}

/// How a value is written as bytes: found by its type, or the user's functions.
fn form(ty: &Type, with: Option<&Path>, rt: &TokenStream) -> TokenStream {
    match with {
        Some(path) => {
            let at = Span::call_site().located_at(path.span());
            // Closures, so that a `&String` is taken by a function of `&str`.
            quote_spanned!(at=> #rt::kafka::derived::form::With::new(
                |value: &#ty| #path::to_bytes(value),
                |bytes: &[::core::primitive::u8]| #path::from_bytes(bytes),
            ))
        }
        None => {
            let at = Span::call_site().located_at(ty.span());
            quote_spanned!(at=> {
                use #rt::kafka::derived::form::{IsBytes as _, IsNeither as _, IsText as _};
                (&&&#rt::kafka::derived::form::Probe::<#ty>::new()).form()
            })
        }
    }
}

fn key_shape(ty: &Type) -> (&'static str, &Type) {
    match argument(ty, "Option") {
        Some(inner) => ("optional_key", inner),
        None => ("key", ty),
    }
}

fn payload_shape(field: &Field) -> (&'static str, &Type) {
    match argument(&field.ty, "Option") {
        Some(inner) => ("optional_payload", inner),
        None => ("payload", &field.ty),
    }
}

fn header_shape(ty: &Type) -> (&'static str, &Type) {
    if let Some(inner) = argument(ty, "Option") {
        return match argument(inner, "Option") {
            Some(inner) => ("nullable_header", inner),
            None => ("optional_header", inner),
        };
    }
    match argument(ty, "Vec") {
        // Bytes, not numbers that are repeated.
        Some(inner) if named(inner, "u8") => ("header", ty),
        Some(inner) => match argument(inner, "Option") {
            Some(inner) => ("each_nullable_header", inner),
            None => ("each_header", inner),
        },
        None => ("header", ty),
    }
}

fn baggage_method(ty: &Type) -> &'static str {
    if argument(ty, "Option").is_some() { "optional_baggage" } else { "baggage" }
}
