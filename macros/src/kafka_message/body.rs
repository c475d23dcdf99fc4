//! The body: private structs of the fields that serde writes and reads.
//!
//! The user's struct holds more than the body, and what a field's `#[serde(..)]` names (`serialize_with`,
//! `skip_serializing_if`) wants a reference to the field's own type. So the struct that writes has the body's fields and
//! `#[serde(remote = "Order")]`: serde's derive for it reads the fields out of the user's struct where they are. A struct
//! that reads has to make what it reads, so that is another, which owns its fields.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::ext::IdentExt as _;
use syn::{GenericParam, Generics, LitStr};

use super::serde::WholeDefault;
use super::{Message, Role};

pub(super) fn expand(message: &Message, rt: &TokenStream) -> Option<TokenStream> {
    if message.payload().is_some() {
        return None;
    }
    let name = &message.item.ident;
    let generics = without_defaults(&message.item.generics);
    let (impl_generics, ty_generics, where_clause) = generics.split_for_impl();
    let written = quote_spanned!(Span::mixed_site()=> __ThroughlineWritten);
    let read = quote_spanned!(Span::mixed_site()=> __ThroughlineRead);

    let container = &message.serde.passed;
    // The name is seen in formats that write it, and in errors.
    let renamed = (!message.serde.renamed).then(|| {
        let text = LitStr::new(&name.unraw().to_string(), name.span());
        quote!(#[serde(rename = #text)])
    });
    // The bounds are the user's, on the struct. Those that serde would add are ambiguous beside `DeserializeOwned`.
    let bound = (!message.serde.bound).then(|| quote!(#[serde(bound = "")]));
    let turbofish = ty_generics.as_turbofish();
    // serde adds the parameters.
    let remote = LitStr::new(&name.to_string(), Span::call_site());
    let fields = || {
        let body = message.fields.iter().filter(|field| matches!(field.role, Role::Body | Role::Skipped));
        body.map(|field| {
            let (name, ty, attrs) = (&field.name, &field.ty, &field.serde.attrs);
            quote!(#(#attrs)* #name: #ty)
        })
    };
    let (write_fields, read_fields) = (fields(), fields());
    let marker = marker(&generics);
    let marker_field = marker.as_ref().map(|marker| quote!(#[serde(skip)] __throughline_generics: #marker));
    let default = message.serde.default.as_ref().map(|_| quote!(#[serde(default)]));
    let whole_default = whole_default(message, &generics, &read, marker.is_some());
    Some(quote! {
        #[allow(dead_code)] // a list of fields for serde's derive, which is never made
        #[derive(#rt::serde::Serialize)]
        #[serde(crate = "::throughline::__private::serde", remote = #remote)]
        #renamed #bound
        #(#[serde(#container)])*
        struct #written #impl_generics #where_clause { #(#write_fields,)* #marker_field }

        #[derive(#rt::serde::Deserialize)]
        #[serde(crate = "::throughline::__private::serde")]
        #renamed #bound #default
        #(#[serde(#container)])*
        pub struct #read #impl_generics #where_clause { #(#read_fields,)* #marker_field }

        #whole_default

        #[automatically_derived]
        impl #impl_generics #rt::kafka::derived::SerdeBody for #name #ty_generics #where_clause {
            type Read = #read #ty_generics;
            fn write<__S: #rt::serde::Serializer>(
                &self,
                serializer: __S,
            ) -> ::core::result::Result<__S::Ok, __S::Error> {
                #written #turbofish::serialize(self, serializer)
            }
        }
    })
}

/// `#[serde(default)]` on the struct takes missing fields out of a whole message.
fn whole_default(
    message: &Message,
    generics: &Generics,
    read: &TokenStream,
    marked: bool,
) -> Option<TokenStream> {
    let name = &message.item.ident;
    let (impl_generics, ty_generics, where_clause) = generics.split_for_impl();
    let make = match message.serde.default.as_ref()? {
        WholeDefault::Trait => quote!(<#name #ty_generics as ::core::default::Default>::default()),
        WholeDefault::Function(function) => {
            let function = super::serde::path(function);
            quote!(#function())
        }
    };
    let whole = quote_spanned!(Span::mixed_site()=> whole);
    let body = message.fields.iter().filter(|field| matches!(field.role, Role::Body | Role::Skipped));
    let fields = body.map(|field| {
        let name = &field.name;
        quote!(#name: #whole.#name)
    });
    let marker = marked.then(|| quote!(__throughline_generics: ::core::marker::PhantomData));
    Some(quote! {
        #[automatically_derived]
        impl #impl_generics ::core::default::Default for #read #ty_generics #where_clause {
            fn default() -> Self {
                let #whole: #name #ty_generics = #make;
                Self { #(#fields,)* #marker }
            }
        }
    })
}

/// The type of a field that uses every parameter, as the body need not.
fn marker(generics: &Generics) -> Option<TokenStream> {
    let uses: Vec<TokenStream> = generics
        .params
        .iter()
        .filter_map(|param| match param {
            GenericParam::Type(param) => {
                let name = &param.ident;
                Some(quote!(fn() -> ::core::marker::PhantomData<#name>))
            }
            GenericParam::Lifetime(param) => {
                let lifetime = &param.lifetime;
                Some(quote!(&#lifetime ()))
            }
            GenericParam::Const(_) => None,
        })
        .collect();
    (!uses.is_empty()).then(|| quote!(::core::marker::PhantomData<(#(#uses,)*)>))
}

fn without_defaults(generics: &Generics) -> Generics {
    let mut generics = generics.clone();
    for param in &mut generics.params {
        match param {
            GenericParam::Type(param) => {
                param.default = None;
            }
            GenericParam::Const(param) => {
                param.default = None;
            }
            GenericParam::Lifetime(_) => {}
        }
    }
    generics
}
