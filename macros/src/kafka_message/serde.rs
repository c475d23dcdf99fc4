//! The attributes that the body takes over from serde.

use proc_macro2::{TokenStream, TokenTree};
use quote::{ToTokens as _, quote};
use syn::ext::IdentExt as _;
use syn::parse::{ParseStream, Parser as _};
use syn::{Attribute, Ident, LitStr, Token};

use crate::error::Errors;

/// `#[serde(..)]` on the struct.
#[derive(Default)]
pub(super) struct Container {
    /// What applies to a struct of the body's fields just as well.
    pub(super) passed: Vec<TokenStream>,
    pub(super) renamed: bool,
    pub(super) bound: bool,
    pub(super) default: Option<WholeDefault>,
}

/// Where a field that is missing in the body comes from.
pub(super) enum WholeDefault {
    Trait,
    Function(LitStr),
}

/// `#[serde(..)]` on a field.
#[derive(Default)]
pub(super) struct Field {
    pub(super) attrs: Vec<Attribute>,
    pub(super) skip: bool,
    pub(super) default: Option<LitStr>,
}

impl Container {
    pub(super) fn of(attrs: &[Attribute], errors: &mut Errors) -> Self {
        let mut container = Container::default();
        for Word { word, text, rest } in attrs.iter().flat_map(words) {
            match text.as_str() {
                // The body finds serde at our own path.
                "crate" => {}
                "from" | "try_from" | "into" | "remote" => {
                    let message = format!(
                        "`{text}` is about the whole struct, of which serde writes the body alone; \
                         put it on the type of a field `#[kafka(payload)]`"
                    );
                    errors.at(word.span(), message);
                }
                "default" => {
                    container.default = Some(match string(rest.clone()) {
                        Some(function) => WholeDefault::Function(function),
                        None => WholeDefault::Trait,
                    });
                }
                _ => {
                    container.renamed |= text == "rename";
                    container.bound |= text == "bound";
                    container.passed.push(quote!(#word #rest));
                }
            }
        }
        container
    }
}

impl Field {
    pub(super) fn of(attrs: &[Attribute]) -> Self {
        let attrs: Vec<Attribute> =
            attrs.iter().filter(|attr| attr.path().is_ident("serde")).cloned().collect();
        let mut field = Field::default();
        for Word { text, rest, .. } in attrs.iter().flat_map(words) {
            match text.as_str() {
                "skip" => field.skip = true,
                "default" => field.default = string(rest),
                _ => {}
            }
        }
        field.attrs = attrs;
        field
    }
}

/// One argument of `#[serde(..)]`: what follows the word is serde's business.
struct Word {
    word: Ident,
    text: String,
    rest: TokenStream,
}

fn words(attr: &Attribute) -> Vec<Word> {
    let parser = |input: ParseStream<'_>| {
        let mut words = Vec::new();
        while !input.is_empty() {
            let word = input.call(Ident::parse_any)?;
            let mut rest = TokenStream::new();
            while !input.is_empty() && !input.peek(Token![,]) {
                rest.extend([input.parse::<TokenTree>()?]);
            }
            input.parse::<Option<Token![,]>>()?;
            words.push(Word { text: word.unraw().to_string(), word, rest });
        }
        Ok(words)
    };
    match attr.meta.require_list() {
        // What cannot be read is told by serde, whose derive gets the attribute as it is on a field.
        Ok(list) if attr.path().is_ident("serde") => parser.parse2(list.tokens.clone()).unwrap_or_default(),
        _ => Vec::new(),
    }
}

/// The literal of `= "path"`.
fn string(rest: TokenStream) -> Option<LitStr> {
    let parser = |input: ParseStream<'_>| {
        input.parse::<Token![=]>()?;
        input.parse::<LitStr>()
    };
    parser.parse2(rest).ok()
}

/// A path that serde takes as a string.
pub(super) fn path(path: &LitStr) -> TokenStream {
    match path.parse::<syn::ExprPath>() {
        Ok(path) => path.to_token_stream(),
        Err(error) => error.to_compile_error(),
    }
}
