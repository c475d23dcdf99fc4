//! `#[derive(KafkaMessage)]`: which field is which part of a record.
//!
//! `parse` reads the attributes into the types below, `check` finds what cannot be, `expand` writes calls into
//! `throughline::__private::kafka::derived`, where their shape is described.

mod body;
mod check;
mod expand;
mod field;
mod parse;
mod serde;
mod settings;

use proc_macro2::{Span, TokenStream};
use syn::{Expr, Ident, ItemStruct, LitStr, Path, Type};

use crate::error::Errors;

/// A struct that is a message, as far as it could be read.
struct Message {
    item: ItemStruct,
    settings: Settings,
    fields: Vec<Field>,
    serde: serde::Container,
}

/// What stands on the struct.
#[derive(Default)]
struct Settings {
    topic: Option<Expr>,
    codec: Option<Path>,
    event: Option<LitStr>,
    /// The version as text, at its literal.
    version: Option<LitStr>,
    content_type: Option<LitStr>,
}

struct Field {
    name: Ident,
    ty: Type,
    role: Role,
    /// The attributes that serde reads on a field of the body.
    serde: serde::Field,
}

/// What a field is in the record. The span is where it was said.
enum Role {
    Key {
        with: Option<Path>,
        at: Span,
    },
    Header {
        name: LitStr,
        with: Option<Path>,
        baggage: Option<Span>,
    },
    Timestamp(Span),
    Partition(Span),
    Trace(Span),
    Headers(Span),
    Payload(Span),
    Body,
    /// `#[serde(skip)]`: in no record at all.
    Skipped,
}

/// Codecs that are known by name, without an import.
#[derive(Clone, Copy, PartialEq, Eq)]
enum BuiltIn {
    Json,
    Raw,
    Protobuf,
}

impl Settings {
    /// The codec, if it is one of ours; without the argument it is JSON.
    fn built_in(&self) -> Option<BuiltIn> {
        let Some(codec) = &self.codec else { return Some(BuiltIn::Json) };
        [("Json", BuiltIn::Json), ("Raw", BuiltIn::Raw), ("Protobuf", BuiltIn::Protobuf)]
            .into_iter()
            .find_map(|(name, codec_of)| codec.is_ident(name).then_some(codec_of))
    }

    /// The constant headers, in the order in which they are written.
    fn constants(&self) -> impl Iterator<Item = (&'static str, &LitStr)> {
        [("event", &self.event), ("version", &self.version), ("content-type", &self.content_type)]
            .into_iter()
            .filter_map(|(header, value)| Some((header, value.as_ref()?)))
    }
}

impl Message {
    fn body(&self) -> impl Iterator<Item = &Field> {
        self.fields.iter().filter(|field| matches!(field.role, Role::Body))
    }

    fn payload(&self) -> Option<&Field> {
        self.fields.iter().find(|field| matches!(field.role, Role::Payload(_)))
    }
}

pub(crate) fn kafka_message(input: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let Some(message) = parse::message(input, &mut errors) else {
        return errors.into_tokens();
    };
    check::check(&message, &mut errors);
    if errors.is_empty() {
        return expand::expand(&message);
    }
    // The message stays one, so that a mistake in it is not reported at every place that uses it.
    let mut tokens = expand::placeholder(&message);
    tokens.extend(errors.into_tokens());
    tokens
}
