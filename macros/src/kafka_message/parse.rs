//! From tokens to the struct and its fields.

use proc_macro2::TokenStream;
use syn::parse::{ParseStream, Parser as _};
use syn::{Attribute, Fields, Meta, Token};

use super::{Field, Message, Role, Settings, field, serde, settings};
use crate::derive::only_struct;
use crate::error::Errors;

/// The message; `None` if it is no struct with named fields, which is then in `errors`.
pub(super) fn message(input: TokenStream, errors: &mut Errors) -> Option<Message> {
    let otherwise = "`KafkaMessage` is derived for structs with named fields; \
                     make this the type of a field `#[kafka(payload)]` of one";
    let item = match only_struct(input, otherwise) {
        Ok(item) => item,
        Err(error) => {
            errors.push(error);
            return None;
        }
    };
    let Fields::Named(named) = &item.fields else {
        errors.at(item.ident.span(), "`KafkaMessage` needs named fields; write `struct Order { .. }`");
        return None;
    };
    let mut settings = Settings::default();
    for attr in kafka(&item.attrs) {
        arguments(attr, errors, "`topic = \"orders\"`", |input, _| settings::argument(&mut settings, input));
    }
    let container = serde::Container::of(&item.attrs, errors);
    let mut fields = Vec::new();
    for field in &named.named {
        let Some(name) = &field.ident else { continue };
        let mut marks = field::Marks::default();
        for attr in kafka(&field.attrs) {
            let written = attr.meta.require_list().is_ok_and(|list| !list.tokens.is_empty());
            arguments(
                attr,
                errors,
                "`key`, `header = \"x-tenant\"` or another part of the record",
                |input, errors| field::argument(&mut marks, input, errors),
            );
            marks.seen |= written;
        }
        let serde = serde::Field::of(&field.attrs);
        let role = match marks.into_role(errors) {
            Role::Body if serde.skip => Role::Skipped,
            role => role,
        };
        fields.push(Field { name: name.clone(), ty: field.ty.clone(), role, serde });
    }
    Some(Message { settings, fields, serde: container, item })
}

fn kafka(attrs: &[Attribute]) -> impl Iterator<Item = &Attribute> {
    attrs.iter().filter(|attr| attr.path().is_ident("kafka"))
}

/// Reads the arguments of one attribute. One with a mistake is left out, so that the others are checked, too.
fn arguments(
    attr: &Attribute,
    errors: &mut Errors,
    example: &str,
    mut argument: impl FnMut(ParseStream<'_>, &mut Errors) -> syn::Result<()>,
) {
    let tokens = match &attr.meta {
        Meta::List(list) if !list.tokens.is_empty() => list.tokens.clone(),
        _ => {
            errors.over(attr, format_args!("write `#[kafka(..)]` with {example}"));
            return;
        }
    };
    let read = |input: ParseStream<'_>| {
        while !input.is_empty() {
            if let Err(error) = argument(input, errors) {
                errors.push(error);
                crate::args::skip_to_comma(input);
            } else if !input.is_empty() && !input.peek(Token![,]) {
                errors.at(input.span(), "expected `,` between two arguments");
                crate::args::skip_to_comma(input);
            }
            // Only a comma can stand here, or the end.
            let _ = input.parse::<Option<Token![,]>>();
        }
        Ok(())
    };
    if let Err(error) = read.parse2(tokens) {
        errors.push(error);
    }
}
