//! Functions made by `macro_rules!`: arguments that come as fragments, in invisible delimiters, mean what they mean when
//! they are written out.

use throughline::opentelemetry::trace::SpanKind;
use throughline::{ErrorInfo, record, span, traced_span};

use super::support::{SpanDataExt as _, block_on, kind_of, spans_of};

macro_rules! traced {
    ($name:ident, $span:expr, $scope:expr, $kind:expr, $err:path, $key:literal, $value:expr) => {
        #[traced_span($span, scope = $scope, kind = $kind, err = $err, fields($key = $value, double = $value * 2))]
        fn $name() -> Result<u8, u8> {
            Err(1)
        }
    };
}

fn classify(error: &u8) -> Option<ErrorInfo> {
    (*error > 0).then(|| ErrorInfo::new("positive"))
}

traced!(all_fragments, "fragments", "a.scope", client, classify, "key", 1 + 1);

#[test]
fn fragments_are_arguments() {
    let (_, spans) = spans_of(all_fragments);
    let span = spans.named("fragments");
    assert_eq!(kind_of(span), SpanKind::Client);
    assert_eq!(span.instrumentation_scope.name(), "a.scope");
    assert_eq!(span.failed_with().unwrap().0, "positive");
    assert_eq!(span.text("key").as_deref(), Some("2"));
    assert_eq!(span.text("double").as_deref(), Some("4"));
}

macro_rules! ignoring {
    ($name:ident, $err:expr) => {
        #[traced_span(err = $err)]
        fn $name() -> Result<u8, u8> {
            Err(1)
        }
    };
}

ignoring!(ignoring, ignore);

macro_rules! leaf {
    ($name:ident, $span:expr, $scope:expr) => {
        #[traced_span(name = $span, scope = $scope, leaf)]
        fn $name() {}
    };
}

leaf!(a_leaf, "leaf", "a.scope");

macro_rules! any_span {
    ($name:expr, $operand:expr) => {
        span!($name, $operand)
    };
}

macro_rules! any_record {
    ($value:expr) => {
        record!($value)
    };
}

#[test]
fn a_literal_stays_a_literal_and_a_word_a_word() {
    let (_, spans) = spans_of(|| {
        ignoring().ok();
        a_leaf();
    });
    spans.named("ignoring").assert_unset();
    assert_eq!(spans.named("leaf").instrumentation_scope.name(), "a.scope");
}

#[test]
fn a_closure_stays_a_closure_and_a_name_its_own_key() {
    let (values, spans) = spans_of(|| {
        let n = 3;
        let sum = any_span!("closure", || {
            any_record!(n);
            n + 1
        });
        let later = block_on(any_span!("future", async move { n + 2 }));
        (sum, later, span!("parentheses", (move || n)))
    });
    assert_eq!(values, (4, 5, 3));
    assert_eq!(spans.names(), ["closure", "future", "parentheses"]);
    assert_eq!(spans.named("closure").text("n").as_deref(), Some("3"));
}

macro_rules! body {
    ($name:ident, $later:ident, $value:expr, $size:ty) => {
        #[traced_span(fields(shown = format!("{}", $value * 2), n = same($value * 2), b = { let x = $value * 2; x }))]
        fn $name() -> usize {
            let n = $value * 2;
            n + format!("{:03}", $value * 2).len() + size_of::<$size>() - 1
        }

        #[traced_span]
        async fn $later() -> usize {
            $value * 2
        }
    };
}

body!(body, later, 1 + 1, u8);

#[test]
fn precedence_of_fragments_holds_in_bodies_and_fields() {
    let (values, spans) = spans_of(|| (body(), block_on(later())));
    assert_eq!(values, (7, 4));
    let span = spans.named("body");
    assert_eq!(span.text("n").as_deref(), Some("4"));
    assert_eq!(span.text("b").as_deref(), Some("4"));
    assert_eq!(span.text("shown").as_deref(), Some("4"));
}

macro_rules! inline {
    ($value:expr, $closure:expr, $of:ident) => {
        span!(
            "inline",
            fields(n = $value * 2, len = [$value * 2; 2].len(), least = $value.min(1)),
            || -> i32 {
                record!(late = $value * 2);
                let sum = $value * 2 + $of($value) + $closure(1);
                sum + if $value * 2 == 4 { 0 } else { 100 }
            }
        )
    };
}

fn same(n: i32) -> i32 {
    n
}

#[test]
fn precedence_of_fragments_holds_inside_a_span() {
    let (value, spans) = spans_of(|| inline!(1 + 1, |n| n + 10, same));
    assert_eq!(value, 4 + 2 + 11);
    let span = spans.named("inline");
    assert_eq!(span.text("n").as_deref(), Some("4"));
    assert_eq!(span.text("late").as_deref(), Some("4"));
}
