//! Status, `error.type` and description by the type of the error.

use std::borrow::Cow;
use std::fmt;

use throughline::opentelemetry::trace::Status;
use throughline::{ErrorInfo, ErrorType, traced_span};

use super::support::{SpanDataExt as _, block_on, spans_of};

#[derive(Debug)]
struct Coded(u16);

impl fmt::Display for Coded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "answered {}", self.0)
    }
}

impl std::error::Error for Coded {}

impl ErrorType for Coded {
    fn error_type(&self) -> Cow<'static, str> {
        self.0.to_string().into()
    }
}

#[derive(Debug)]
struct OnlyDebug;

struct Nothing;

type Aliased<T> = Result<T, Coded>;

#[traced_span]
fn by_error_type() -> Aliased<u8> {
    Err(Coded(503))
}

#[traced_span]
fn by_display() -> Result<u8, std::num::ParseIntError> {
    "x".parse()
}

#[traced_span]
fn by_debug() -> Result<u8, OnlyDebug> {
    Err(OnlyDebug)
}

#[traced_span]
async fn by_type_alone() -> Result<u8, Nothing> {
    Err(Nothing)
}

#[traced_span]
async fn boxed_error() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    Err("broken".into())
}

#[traced_span]
fn borrowed_error(text: &str) -> Result<(), &str> {
    Err(text)
}

#[traced_span]
fn generic_error<E: fmt::Debug>(error: E) -> Result<(), E> {
    Err(error)
}

#[traced_span]
fn nested() -> Result<Result<(), Coded>, String> {
    Ok(Err(Coded(500)))
}

#[traced_span]
fn opaque_ok() -> Result<impl fmt::Debug, Coded> {
    if true { Err(Coded(404)) } else { Ok(1) }
}

#[traced_span]
fn option() -> Option<Result<(), Coded>> {
    Some(Err(Coded(500)))
}

fn failed_with<T>(code: impl FnOnce() -> T) -> Option<(String, String)> {
    let (_, spans) = spans_of(code);
    spans.only().failed_with()
}

fn pair(kind: &str, description: &str) -> Option<(String, String)> {
    Some((kind.to_owned(), description.to_owned()))
}

// tokio-rs/tracing#2648, tracing-opentelemetry#28 #125: a returned error is the span's status.
#[test]
fn error_type_comes_from_the_error_through_an_alias() {
    assert_eq!(failed_with(by_error_type), pair("503", "answered 503"));
}

#[test]
fn then_the_type_name_with_display() {
    let description = "x".parse::<u8>().unwrap_err().to_string();
    assert_eq!(failed_with(by_display), pair("core::num::error::ParseIntError", &description));
}

#[test]
fn then_the_type_name_with_debug() {
    let (kind, description) = failed_with(by_debug).unwrap();
    assert!(kind.ends_with("outcome::OnlyDebug"), "{kind}");
    assert_eq!(description, "OnlyDebug");
}

#[test]
fn an_error_without_any_trait_is_still_error() {
    let (kind, description) = failed_with(|| block_on(by_type_alone()).is_err()).unwrap();
    assert!(kind.ends_with("outcome::Nothing"), "{kind}");
    assert_eq!(description, "");
}

#[test]
fn boxed_and_borrowed_errors_go_by_display() {
    assert_eq!(failed_with(|| block_on(boxed_error()).is_err()).unwrap().1, "broken");
    assert_eq!(failed_with(|| borrowed_error("lent").is_err()), pair("&str", "lent"));
}

#[test]
fn generic_errors_go_by_their_bounds() {
    assert_eq!(failed_with(|| generic_error(Coded(1))).unwrap().1, "Coded(1)");
}

#[test]
fn the_outermost_result_counts() {
    assert_eq!(failed_with(nested), None);
    assert_eq!(failed_with(|| option().is_some()), None);
}

#[test]
fn impl_trait_inside_ok_is_no_obstacle() {
    assert_eq!(failed_with(|| opaque_ok().is_ok()), pair("404", "answered 404"));
}

#[traced_span(err = ignore)]
async fn ignored() -> Result<u8, Coded> {
    Err(Coded(500))
}

#[traced_span(err = debug)]
fn debugged() -> Result<u8, Coded> {
    Err(Coded(500))
}

fn classify(error: &Coded) -> Option<ErrorInfo> {
    (error.0 >= 500).then(|| ErrorInfo::new("server").description(format!("status {}", error.0)))
}

#[traced_span(err = classify)]
async fn classified(code: u16) -> Result<u8, Coded> {
    Err(Coded(code))
}

#[test]
fn err_ignore_looks_at_nothing() {
    assert_eq!(failed_with(|| block_on(ignored()).is_err()), None);
}

// tokio-rs/tracing#1630 #2330 #3561
#[test]
fn err_debug_describes_by_debug() {
    assert_eq!(failed_with(debugged), pair("500", "Coded(500)"));
}

#[test]
fn err_path_decides() {
    assert_eq!(failed_with(|| block_on(classified(500)).is_err()), pair("server", "status 500"));
    assert_eq!(failed_with(|| block_on(classified(404)).is_err()), None);
}

#[traced_span]
fn set_to_ok_by_the_user() -> Result<(), Coded> {
    use throughline::opentelemetry::{Context, trace::TraceContextExt as _};
    Context::current().span().set_status(Status::Ok);
    Err(Coded(500))
}

#[test]
fn a_status_set_to_ok_stays() {
    let (_, spans) = spans_of(set_to_ok_by_the_user);
    assert_eq!(spans.only().status, Status::Ok);
}
