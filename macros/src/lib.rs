//! The attributes and derives of `throughline`; use them through the `throughline` crate, whose documentation
//! describes each of them with examples.
//!
//! One macro, three steps: `words`, `args` and `item` parse, `check` finds contradictions, `expand` writes calls into
//! `throughline::__private` and cannot fail. Nothing here has behaviour of its own.
#![forbid(unsafe_code)]
#![allow(missing_docs, reason = "documented at the re-exports")]
#![cfg_attr(
    not(test),
    warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod args;
mod attribute;
mod check;
mod derive;
mod error;
mod expand;
mod fields;
mod fragments;
mod inline;
mod item;
mod kafka;
mod kafka_message;
mod kafka_producer;
mod run;
#[cfg(test)]
mod tests;
mod words;

use proc_macro::TokenStream;

// The text for users stands where they find these: at the re-exports of `throughline` (`runtime/docs`), whose examples
// can be compiled there and not here.

#[proc_macro_attribute]
pub fn traced_span(args: TokenStream, item: TokenStream) -> TokenStream {
    attribute::traced_span(args.into(), item.into()).into()
}

#[proc_macro_attribute]
pub fn kafka_consumer(args: TokenStream, item: TokenStream) -> TokenStream {
    attribute::kafka_consumer(args.into(), item.into()).into()
}

#[proc_macro_attribute]
pub fn kafka_producer(args: TokenStream, item: TokenStream) -> TokenStream {
    attribute::kafka_producer(args.into(), item.into()).into()
}

#[proc_macro]
pub fn span(input: TokenStream) -> TokenStream {
    inline::span(input.into()).into()
}

#[proc_macro]
pub fn record(input: TokenStream) -> TokenStream {
    inline::record(input.into()).into()
}

#[proc_macro_derive(TraceContext, attributes(trace))]
pub fn trace_context(input: TokenStream) -> TokenStream {
    derive::trace_context(input.into()).into()
}

#[proc_macro_derive(KafkaMessage, attributes(kafka, serde))]
pub fn kafka_message(input: TokenStream) -> TokenStream {
    kafka_message::kafka_message(input.into()).into()
}
