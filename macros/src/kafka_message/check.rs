//! What cannot be: two of a part, types that are none, headers that collide, a body beside a payload.

use quote::ToTokens as _;
use syn::visit_mut::{self, VisitMut};
use syn::{GenericParam, Ident, Type, TypeParam, TypeParamBound, WherePredicate};

use super::{BuiltIn, Field, Message, Role};
use crate::error::{Errors, as_written};
use crate::item::{argument, named};

pub(super) fn check(message: &Message, errors: &mut Errors) {
    if message.settings.topic.is_none() && !mentions_topic(message) {
        let at = message.item.ident.span();
        errors.at(at, "the message has no topic; write `#[kafka(topic = \"orders\")]` on the struct");
    }
    twice(message, errors);
    headers(message, errors);
    for field in &message.fields {
        types(field, errors);
    }
    value(message, errors);
    bounds(message, errors);
}

/// A topic that was written wrong is not missing as well.
fn mentions_topic(message: &Message) -> bool {
    let attrs = message.item.attrs.iter().filter(|attr| attr.path().is_ident("kafka"));
    attrs
        .filter_map(|attr| attr.meta.require_list().ok())
        .any(|list| list.tokens.clone().into_iter().any(|token| token.to_string() == "topic"))
}

/// Two fields of one part (kafka.md D-1); told at the second.
fn twice(message: &Message, errors: &mut Errors) {
    let mut seen: Vec<&str> = Vec::new();
    for field in &message.fields {
        let (part, at) = match &field.role {
            Role::Key { at, .. } => ("key", at),
            Role::Timestamp(at) => ("timestamp", at),
            Role::Partition(at) => ("partition", at),
            Role::Trace(at) => ("trace", at),
            Role::Headers(at) => ("headers", at),
            Role::Payload(at) => ("payload", at),
            Role::Header { .. } | Role::Body | Role::Skipped => continue,
        };
        if seen.contains(&part) {
            errors.at(*at, format_args!("two fields are `#[kafka({part})]`; keep one of them"));
        } else {
            seen.push(part);
        }
    }
}

/// Names of headers that occur twice, ignoring case (kafka.md D-3), and those that cannot be keys of baggage.
fn headers(message: &Message, errors: &mut Errors) {
    let mut seen: Vec<(String, &str)> = message
        .settings
        .constants()
        .map(|(header, _)| {
            let argument = if header == "content-type" { "content_type" } else { header };
            (header.to_owned(), argument)
        })
        .collect();
    for field in &message.fields {
        let Role::Header { name, baggage, .. } = &field.role else { continue };
        let lower = name.value().to_ascii_lowercase();
        match seen.iter().find(|(other, _)| *other == lower) {
            Some((_, "")) => errors.at(
                name.span(),
                format_args!(
                    "two fields are the header `{}`; keep one of them, as a `Vec` if it repeats",
                    name.value()
                ),
            ),
            Some((_, argument)) => errors.at(
                name.span(),
                format_args!(
                    "`{argument} = ..` on the struct writes the header `{}`; remove one of them",
                    name.value()
                ),
            ),
            None => seen.push((lower, "")),
        }
        if let (Some(_), Some(character)) = (baggage, name.value().chars().find(|c| !is_token(*c))) {
            errors.at(
                name.span(),
                format_args!(
                    "`{}` cannot be in a key of baggage; choose another header name",
                    character.escape_default()
                ),
            );
        }
    }
}

/// Characters of a `token` (RFC 9110), which a key of baggage is.
fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

/// Types that are told by name (kafka.md D-2, D-3); an alias of one of ours has to be spelled out.
fn types(field: &Field, errors: &mut Errors) {
    let inner = argument(&field.ty, "Option").unwrap_or(&field.ty);
    match &field.role {
        Role::Key { with: None, .. } if named(inner, "f32") || named(inner, "f64") => {
            let message = format!(
                "`{}` is no key, for equal numbers may be written differently; use an integer or a string, \
                 or write `with = path`",
                as_written(inner)
            );
            errors.over(inner, message);
        }
        Role::Header { baggage: Some(_), .. } if !named(inner, "String") => {
            errors.over(
                &field.ty,
                "baggage holds strings; use `String` or `Option<String>`, or remove `baggage`",
            );
        }
        Role::Trace(_) if !named(&field.ty, "CreationContext") => {
            errors.over(&field.ty, "`#[kafka(trace)]` needs the type `CreationContext`");
        }
        Role::Headers(_) if !named(&field.ty, "Headers") => {
            errors.over(&field.ty, "`#[kafka(headers)]` needs the type `Headers`");
        }
        _ => {}
    }
}

/// The value is the body or one field, as the codec can write it.
fn value(message: &Message, errors: &mut Errors) {
    if let Some(payload) = message.payload() {
        for field in message.body() {
            let message = format!(
                "`{}` would be part of the body, which is `{}`, the field marked `payload`; mark this field, \
                 or write `#[serde(skip)]` on it",
                field.name, payload.name
            );
            errors.at(field.name.span(), message);
        }
        return;
    }
    let alone = match message.settings.built_in() {
        Some(BuiltIn::Raw) => "Raw",
        Some(BuiltIn::Protobuf) => "Protobuf",
        _ => return,
    };
    if let Some(codec) = &message.settings.codec {
        errors.over(codec, format_args!("`{alone}` writes one field; mark it `#[kafka(payload)]`"));
    }
}

/// A type parameter in the value that nothing is known of (kafka.md D-5). If the bounds are others than the codec's, the
/// compiler says so at the field.
fn bounds(message: &Message, errors: &mut Errors) {
    if message.serde.bound {
        return;
    }
    let needed = match message.settings.built_in() {
        Some(BuiltIn::Json) => "Serialize + DeserializeOwned",
        Some(BuiltIn::Raw) => "AsRef<[u8]> + TryFrom<Vec<u8>>",
        Some(BuiltIn::Protobuf) => "prost::Message + Default",
        None => return,
    };
    let codec = message.settings.codec.as_ref().map_or_else(|| "Json".to_owned(), as_written);
    for param in &message.item.generics.params {
        let GenericParam::Type(param) = param else { continue };
        if has_bounds(param, message) {
            continue;
        }
        let in_value = |field: &&Field| {
            matches!(field.role, Role::Body | Role::Payload(_)) && mentions(&field.ty, &param.ident)
        };
        if let Some(field) = message.fields.iter().find(in_value) {
            let message = format!(
                "`{0}` is in the value by `{1}`, so the codec `{codec}` needs bounds on it; write `{0}: {needed}`",
                param.ident, field.name
            );
            errors.at(param.ident.span(), message);
        }
    }
}

fn has_bounds(param: &TypeParam, message: &Message) -> bool {
    let is_trait = |bound: &TypeParamBound| {
        matches!(bound, TypeParamBound::Trait(_)) && !as_written(bound).starts_with('?')
    };
    let clauses = message.item.generics.where_clause.iter().flat_map(|clause| &clause.predicates);
    let mut clauses = clauses.filter_map(|predicate| match predicate {
        WherePredicate::Type(predicate) if mentions(&predicate.bounded_ty, &param.ident) => Some(predicate),
        _ => None,
    });
    param.bounds.iter().any(is_trait) || clauses.any(|predicate| predicate.bounds.iter().any(is_trait))
}

fn mentions(ty: &Type, param: &Ident) -> bool {
    struct Find<'p>(&'p Ident, bool);
    impl VisitMut for Find<'_> {
        fn visit_ident_mut(&mut self, ident: &mut Ident) {
            self.1 |= ident == self.0;
        }
        fn visit_macro_mut(&mut self, mac: &mut syn::Macro) {
            self.1 |= mac.tokens.to_token_stream().to_string().contains(&self.0.to_string());
        }
        fn visit_type_mut(&mut self, ty: &mut Type) {
            visit_mut::visit_type_mut(self, ty);
        }
    }
    let mut find = Find(param, false);
    find.visit_type_mut(&mut ty.clone());
    find.1
}
