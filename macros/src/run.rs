//! `run(..)` of `#[kafka_consumer]`: a module of the function's name, whose `consumer()` is the builder with what was said.

use crate::args::{self, Args};
use crate::error::{Errors, as_written, one_of};
use crate::expand::call_at;
use crate::fragments::expression;
use crate::item::Function;
use crate::kafka::{milliseconds, not_empty};
use crate::words::{Form, Grammar, Word, choice, words};
use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::ext::IdentExt as _;
use syn::parse::ParseStream;
use syn::spanned::Spanned as _;
use syn::{Expr, FnArg, Lit, Path, Token};

/// What was written in `run(..)`, in the order in which it was written.
#[derive(Default)]
pub(crate) struct RunArgs(Vec<Setting>);

enum Setting {
    /// `.word(EXPR)`
    Call(&'static str, Expr),
    /// `.word(RT::kafka::TYPE::VARIANT)`
    Variant(&'static str, &'static str, &'static str),
    Switch(&'static str, bool),
    /// `.word(Duration)`, in milliseconds
    Duration(&'static str, u64),
    /// `.concurrency(..)`, `.commit(..)`: a function of the runtime and its arguments
    Function(&'static str, &'static str, Vec<TokenStream>),
    Batch(Option<Expr>, Option<u64>),
    Retry(Vec<Setting>),
    /// `.when(PATH)` of a retry
    When(Path),
}

pub(crate) const RUN: Grammar = Grammar {
    operand: false,
    words: words![
        "group" Value(group): "write `group = \"billing\"`",
        "topics" Value(topics): "write `topics = [\"orders\"]`",
        "pattern" Value(pattern): "write `pattern = \"^orders-\"`",
        "concurrency" Value(concurrency): "write `concurrency = per_partition(8)`",
        "max_in_flight" Value(max_in_flight): "write `max_in_flight = 1000`",
        "prefetch" Value(prefetch): "write `prefetch = 8_388_608`, in bytes",
        "commit" Value(commit): "write `commit = tracked(\"1s\", 500)`",
        "retry" List(retry): "write `retry(attempts = 5)`",
        "on_exhausted" Value(on_exhausted): "write `on_exhausted = halt`",
        "on_decode_error" Value(on_decode_error): "write `on_decode_error = skip`",
        "on_panic" Value(on_panic): "write `on_panic = retry`",
        "batch" List(batch): "write `batch(max = 500, wait = \"100ms\")`",
        "timeout" Value(timeout): "write `timeout = \"30s\"`",
        "drain" Value(drain): "write `drain = \"30s\"`",
        "retry_errors" Value(retry_errors): "write `retry_errors = last`",
        "settle_spans" Value(settle_spans): "write `settle_spans = off`",
        "dead_letter" Value(dead_letter): "write `dead_letter = \"orders.dlq\"`",
        "dlq_headers" Value(dlq_headers): "write `dlq_headers = kip1191`",
        "dead_letter_context" Value(dead_letter_context): "write `dead_letter_context = keep`",
    ],
};

const RETRY: Grammar = Grammar {
    operand: false,
    words: words![
        "attempts" Value(attempts): "write `attempts = 5`",
        "initial" Value(initial): "write `initial = \"100ms\"`",
        "factor" Value(factor): "write `factor = 2.0`",
        "max" Value(max_wait): "write `max = \"30s\"`",
        "jitter" Value(jitter): "write `jitter = off`",
        "when" Value(when): "write `when = PATH`, such as `when = ChargeError::is_transient`",
    ],
};

const BATCH: Grammar = Grammar {
    operand: false,
    words: words![
        "max" Value(max_records): "write `max = 500`",
        "wait" Value(wait): "write `wait = \"100ms\"`",
    ],
};

macro_rules! calls {
    ($($function:ident $word:literal)*) => {
        $(fn $function(args: &mut Args, input: ParseStream<'_>) -> syn::Result<()> {
            let value = not_empty(expression(input)?, $word)?;
            args.run.0.push(Setting::Call($word, value));
            Ok(())
        })*
    };
}
calls! {
    group "group"
    topics "topics"
    pattern "pattern"
    max_in_flight "max_in_flight"
    prefetch "prefetch"
    dead_letter "dead_letter"
    attempts "attempts"
    factor "factor"
    max_records "max"
}

macro_rules! durations {
    ($($function:ident $word:literal)*) => {
        $(fn $function(args: &mut Args, input: ParseStream<'_>) -> syn::Result<()> {
            args.run.0.push(Setting::Duration($word, duration(&expression(input)?)?));
            Ok(())
        })*
    };
}
durations! {
    timeout "timeout"
    drain "drain"
    initial "initial"
    max_wait "max"
    wait "wait"
}

fn duration(value: &Expr) -> syn::Result<u64> {
    let ms = match value {
        Expr::Lit(syn::ExprLit { lit: Lit::Str(text), .. }) => milliseconds(&text.value()),
        _ => None,
    };
    ms.ok_or_else(|| {
        let message = format!(
            "`{}` is no duration; write `\"100ms\"`, `\"30s\"`, `\"15m\"` or `\"1h\"`",
            as_written(value)
        );
        syn::Error::new_spanned(value, message)
    })
}

macro_rules! switches {
    ($($word:ident)*) => {
        $(fn $word(args: &mut Args, input: ParseStream<'_>) -> syn::Result<()> {
            let on = choice(input, stringify!($word), &[("on", true), ("off", false)])?;
            args.run.0.push(Setting::Switch(stringify!($word), on));
            Ok(())
        })*
    };
}
switches!(settle_spans jitter);

macro_rules! variants {
    ($($word:ident $type:literal [$($name:literal $variant:literal),*])*) => {
        $(fn $word(args: &mut Args, input: ParseStream<'_>) -> syn::Result<()> {
            let variant = choice(input, stringify!($word), &[$(($name, $variant)),*])?;
            args.run.0.push(Setting::Variant(stringify!($word), $type, variant));
            Ok(())
        })*
    };
}
variants! {
    on_exhausted "OnFailure" ["dead_letter" "DeadLetter", "skip" "Skip", "halt" "Halt", "stop" "Stop"]
    on_decode_error "OnFailure" ["dead_letter" "DeadLetter", "skip" "Skip", "halt" "Halt", "stop" "Stop"]
    retry_errors "RetryErrors" ["last" "Last", "every" "Every"]
    dlq_headers "DeadLetterHeaders" ["kip1191" "Kip1191", "spring" "Spring"]
    dead_letter_context "DeadLetterContext" ["keep" "Keep", "replace" "Replace"]
}

fn on_panic(args: &mut Args, input: ParseStream<'_>) -> syn::Result<()> {
    let words = [
        ("retry", ("OnPanic", "Retry")),
        ("dead_letter", ("OnFailure", "DeadLetter")),
        ("skip", ("OnFailure", "Skip")),
        ("halt", ("OnFailure", "Halt")),
        ("stop", ("OnFailure", "Stop")),
    ];
    let (ty, variant) = choice(input, "on_panic", &words)?;
    args.run.0.push(Setting::Variant("on_panic", ty, variant));
    Ok(())
}

fn concurrency(args: &mut Args, input: ParseStream<'_>) -> syn::Result<()> {
    const WORDS: [&str; 3] = ["per_partition(8)", "by_key(64)", "sequential"];
    let (name, arguments) = function(input, "concurrency", &WORDS)?;
    let (function, arguments) = match (name.to_string().as_str(), arguments.as_deref()) {
        ("sequential", None) => ("sequential", Vec::new()),
        ("per_partition", Some([count])) => ("per_partition", vec![quote!(#count)]),
        ("by_key", Some([count])) => ("by_key", vec![quote!(#count)]),
        _ => return Err(unknown(&name, "concurrency", &WORDS)),
    };
    args.run.0.push(Setting::Function("concurrency", function, arguments));
    Ok(())
}

fn commit(args: &mut Args, input: ParseStream<'_>) -> syn::Result<()> {
    const WORDS: [&str; 3] = ["tracked(\"1s\", 500)", "per_record", "manual"];
    let (name, arguments) = function(input, "commit", &WORDS)?;
    let (function, arguments) = match (name.to_string().as_str(), arguments.as_deref()) {
        ("per_record", None) => ("per_record", Vec::new()),
        ("manual", None) => ("manual", Vec::new()),
        ("tracked", Some([interval, count])) => {
            let ms = duration(interval)?;
            ("tracked", vec![quote!(::core::time::Duration::from_millis(#ms)), quote!(#count)])
        }
        _ => return Err(unknown(&name, "commit", &WORDS)),
    };
    args.run.0.push(Setting::Function("commit", function, arguments));
    Ok(())
}

/// `word` or `word(a, b)`.
fn function(
    input: ParseStream<'_>,
    setting: &str,
    words: &[&str],
) -> syn::Result<(Ident, Option<Vec<Expr>>)> {
    let name = input.call(Ident::parse_any).map_err(|error| {
        syn::Error::new(
            error.span(),
            format!("expected {} after `{setting} =`", one_of(words.iter().copied())),
        )
    })?;
    if !input.peek(syn::token::Paren) {
        return Ok((name, None));
    }
    let content;
    syn::parenthesized!(content in input);
    let mut arguments = Vec::new();
    while !content.is_empty() {
        arguments.push(expression(&content)?);
        content.parse::<Option<Token![,]>>()?;
    }
    Ok((name, Some(arguments)))
}

fn unknown(name: &Ident, setting: &str, words: &[&str]) -> syn::Error {
    let message =
        format!("`{name}` is no value of `{setting}` as written; expected {}", one_of(words.iter().copied()));
    syn::Error::new(name.span(), message)
}

fn when(args: &mut Args, input: ParseStream<'_>) -> syn::Result<()> {
    let value = expression(input)?;
    let Expr::Path(path) = &value else {
        let message =
            "write `when = PATH`, the path of a `fn(&E) -> bool`, such as `when = ChargeError::is_transient`";
        return Err(syn::Error::new_spanned(value, message));
    };
    args.run.0.push(Setting::When(path.path.clone()));
    Ok(())
}

fn retry(args: &mut Args, input: ParseStream<'_>, errors: &mut Errors) {
    let RunArgs(settings) = args::nested(input, "retry", &RETRY, errors).run;
    args.run.0.push(Setting::Retry(settings));
}

fn batch(args: &mut Args, input: ParseStream<'_>, errors: &mut Errors) {
    let at = args.seen("batch").unwrap_or_else(|| input.span());
    let (mut max, mut wait) = (None, None);
    for setting in args::nested(input, "batch", &BATCH, errors).run.0 {
        match setting {
            Setting::Call(_, count) => max = Some(count),
            Setting::Duration(_, ms) => wait = Some(ms),
            _ => {}
        }
    }
    if max.is_none() && wait.is_none() && errors.is_empty() {
        errors.at(at, "write `batch(max = 500, wait = \"100ms\")`");
    }
    args.run.0.push(Setting::Batch(max, wait));
}

/// `run(..)` itself, among the words of `#[kafka_consumer]`.
pub(crate) fn run(args: &mut Args, input: ParseStream<'_>, errors: &mut Errors) {
    args.run = args::nested(input, "run", &RUN, errors).run;
}

/// What the function must be, to have a module of its name.
pub(crate) fn check(args: &Args, function: &Function, errors: &mut Errors) {
    let Some(at) = args.seen("run") else { return };
    if is_method(function) {
        errors.at(at, "`run(..)` adds a module beside the function, which a method cannot have; move the handler out of the `impl`");
    } else if !function.sig.generics.params.is_empty() {
        errors.at(at, "`run(..)` needs a function without generics; a runner has one handler");
    }
    if let Some(links) = args.seen("links") {
        errors.at(links, "in the runner the span begins before the function is called; write `throughline::add_link(..)` in the body");
    }
    let names_topics =
        args.run.0.iter().any(|setting| matches!(setting, Setting::Call("topics" | "pattern", _)));
    if !names_topics && args.kafka.text("topic").is_none() {
        errors.at(at, "what is consumed is not said; write `topic = \"orders\"` before `run(..)`, or `topics = [..]` or `pattern = \"^..\"` in it");
    }
}

fn is_method(function: &Function) -> bool {
    function.sig.inputs.iter().any(|input| matches!(input, FnArg::Receiver(_)))
}

/// The module, or nothing without `run(..)`.
pub(crate) fn module(
    args: &Args,
    function: &Function,
    rt: &TokenStream,
    process: &TokenStream,
) -> TokenStream {
    // An `impl` cannot hold a module; that it is none is told by then.
    if args.seen("run").is_none() || is_method(function) {
        return TokenStream::new();
    }
    let (name, vis) = (&function.sig.ident, &function.vis);
    let cfgs = function.attrs.iter().filter(|attr| attr.path().is_ident("cfg"));
    let says =
        |word| args.run.0.iter().any(|setting| matches!(setting, Setting::Call(said, _) if *said == word));
    // What the attribute says to the span holds for the runner, too, unless `run(..)` says otherwise.
    let group = args.kafka.text("group").filter(|_| !says("group")).map(|group| call_at("group", group));
    let topic = args.kafka.text("topic").filter(|_| !says("topics") && !says("pattern")).map(|topic| {
        let word = Ident::new("topics", Span::mixed_site().located_at(topic.span()));
        quote!(.#word([#topic]))
    });
    let settings = args.run.0.iter().map(|setting| setting.call(rt));
    let text = format!("The runner of `{name}`.");
    let about = format!(
        "A consumer with the settings of `{name}`, which still needs the client's configuration: \
         `consumer().config(config).run({name})`."
    );
    quote! {
        #(#cfgs)*
        #[doc = #text]
        #[allow(unused_imports, unreachable_pub)]
        #vis mod #name {
            use super::*;

            #[doc = #about]
            pub fn consumer() -> #rt::kafka::Consumer {
                #rt::kafka::Consumer::new() #topic #group #(#settings)* .process(#process)
            }
        }
    }
}

impl Setting {
    fn call(&self, rt: &TokenStream) -> TokenStream {
        let word = |word: &str| Ident::new(word, Span::mixed_site());
        match self {
            Setting::Call(name, value) => call_at(name, value),
            Setting::Variant(name, ty, variant) => {
                let (name, ty, variant) = (word(name), word(ty), word(variant));
                quote!(.#name(#rt::kafka::#ty::#variant))
            }
            Setting::Switch(name, on) => {
                let name = word(name);
                quote!(.#name(#on))
            }
            Setting::Duration(name, ms) => {
                let name = word(name);
                quote!(.#name(::core::time::Duration::from_millis(#ms)))
            }
            Setting::Function(name, function, arguments) => {
                let (name, function) = (word(name), word(function));
                quote!(.#name(#rt::kafka::#function(#(#arguments),*)))
            }
            Setting::Batch(max, wait) => {
                let max = max.as_ref().map_or_else(|| quote!(500), |max| quote!(#max));
                let wait = wait.unwrap_or(100);
                quote!(.batch(#max, ::core::time::Duration::from_millis(#wait)))
            }
            Setting::Retry(settings) => {
                let settings = settings.iter().map(|setting| setting.call(rt));
                quote!(.retry(#rt::kafka::Backoff::new() #(#settings)*))
            }
            Setting::When(path) => {
                let when = Ident::new("when", Span::mixed_site().located_at(path.span()));
                quote_spanned!(path.span()=> .#when(#path))
            }
        }
    }
}
