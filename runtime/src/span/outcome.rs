//! How a function ended, found by the type of what it returned.

use std::borrow::Cow;
use std::fmt::{Debug, Display};

use super::value::text;

/// The outcome of a function, as its span records it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing to say: the status stays unset.
    None,
    /// Status Error.
    Failed {
        /// `error.type`.
        error_type: Cow<'static, str>,
        /// The status description.
        description: Option<Cow<'static, str>>,
    },
}

/// An error that says what it is called in `error.type`.
///
/// Without it, `error.type` is the name of the Rust type. The convention asks for few different values: a status code,
/// a variant's name, never a text with ids in it ([error attributes]). The status description is the error's `Display`.
///
/// ```
/// use std::borrow::Cow;
///
/// #[derive(Debug)]
/// enum LoadError { NotFound, Timeout }
///
/// impl std::fmt::Display for LoadError {
///     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
///         f.write_str("the order could not be loaded")
///     }
/// }
///
/// impl throughline::ErrorType for LoadError {
///     fn error_type(&self) -> Cow<'static, str> {
///         match self {
///             LoadError::NotFound => "not_found".into(),
///             LoadError::Timeout => "timeout".into(),
///         }
///     }
/// }
/// ```
///
/// [error attributes]: https://opentelemetry.io/docs/specs/semconv/registry/attributes/error/
pub trait ErrorType: Display {
    /// The value of `error.type`.
    fn error_type(&self) -> Cow<'static, str>;
}

/// What `err = PATH` says about an error that is a failure.
///
/// ```
/// use throughline::ErrorInfo;
///
/// fn classify(error: &std::io::Error) -> Option<ErrorInfo> {
///     match error.kind() {
///         // No file is no failure here: the span's status stays unset.
///         std::io::ErrorKind::NotFound => None,
///         kind => Some(ErrorInfo::new(kind.to_string()).description(error.to_string())),
///     }
/// }
/// # assert!(classify(&std::io::ErrorKind::NotFound.into()).is_none());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "return it from the function that `err = PATH` names"]
pub struct ErrorInfo {
    error_type: Cow<'static, str>,
    description: Option<Cow<'static, str>>,
}

impl ErrorInfo {
    /// A failure with this `error.type` and without a description.
    pub fn new(error_type: impl Into<Cow<'static, str>>) -> Self {
        Self { error_type: error_type.into(), description: None }
    }

    /// Adds the description of the span's status.
    pub fn description(mut self, description: impl Into<Cow<'static, str>>) -> Self {
        self.description = Some(description.into());
        self
    }
}

impl From<ErrorInfo> for Outcome {
    fn from(info: ErrorInfo) -> Self {
        Outcome::Failed { error_type: info.error_type, description: info.description }
    }
}

fn type_of<E>(_: &E) -> Cow<'static, str> {
    std::any::type_name::<E>().into()
}

fn failed(error_type: Cow<'static, str>, description: Option<String>) -> Outcome {
    Outcome::Failed { error_type, description: description.map(Cow::Owned) }
}

/// The returned value, for a look at its type: `(&&&&&Probe(&value)).outcome()` takes the first trait of [`probe`]
/// that is implemented for it, because method lookup tries fewer references last. Specialisation on stable Rust.
#[derive(Debug)]
pub struct Probe<'a, T>(pub &'a T);

/// The ways to find an outcome, most specific first. A module, so that an expansion imports them all at once.
#[allow(missing_docs, reason = "named by expansions only")]
pub mod probe {
    use super::{Debug, Display, Outcome, Probe, failed, type_of};

    /// [`ErrorType`](super::ErrorType), under a name whose message says what to do where the compiler must guess.
    #[diagnostic::on_unimplemented(
        message = "the error's type is not known where this span ends (`{Self}` was found out later)",
        label = "write the return type on the closure or the `async` block's result, or `err = ignore`"
    )]
    pub trait Classified: super::ErrorType {}

    #[diagnostic::do_not_recommend]
    impl<E: super::ErrorType> Classified for E {}

    pub trait ByErrorType {
        fn outcome(&self) -> Outcome;
    }

    impl<T, E: Classified> ByErrorType for &&&&Probe<'_, Result<T, E>> {
        fn outcome(&self) -> Outcome {
            match self.0 {
                Ok(_) => Outcome::None,
                Err(error) => failed(error.error_type(), Some(super::text(format_args!("{error}")))),
            }
        }
    }

    pub trait ByDisplay {
        fn outcome(&self) -> Outcome;
    }

    impl<T, E: Display> ByDisplay for &&&Probe<'_, Result<T, E>> {
        fn outcome(&self) -> Outcome {
            match self.0 {
                Ok(_) => Outcome::None,
                Err(error) => failed(type_of(error), Some(super::text(format_args!("{error}")))),
            }
        }
    }

    pub trait ByDebug {
        fn outcome(&self) -> Outcome;
    }

    impl<T, E: Debug> ByDebug for &&Probe<'_, Result<T, E>> {
        fn outcome(&self) -> Outcome {
            match self.0 {
                Ok(_) => Outcome::None,
                Err(error) => failed(type_of(error), Some(super::text(format_args!("{error:?}")))),
            }
        }
    }

    pub trait ByType {
        fn outcome(&self) -> Outcome;
    }

    impl<T, E> ByType for &Probe<'_, Result<T, E>> {
        fn outcome(&self) -> Outcome {
            match self.0 {
                Ok(_) => Outcome::None,
                Err(error) => failed(type_of(error), None),
            }
        }
    }

    pub trait NoResult {
        fn outcome(&self) -> Outcome;
    }

    impl<T> NoResult for Probe<'_, T> {
        fn outcome(&self) -> Outcome {
            Outcome::None
        }
    }
}

/// The error of `err = debug`, looked at in the same manner.
#[derive(Debug)]
pub struct DebugProbe<'a, E>(pub &'a E);

/// The two ways of `err = debug`: the description is `Debug` in both.
#[allow(missing_docs, reason = "named by expansions only")]
pub mod probe_debug {
    use super::{Debug, DebugProbe, ErrorType, Outcome, failed, type_of};

    pub trait ByErrorType {
        fn outcome(&self) -> Outcome;
    }

    impl<E: ErrorType + Debug> ByErrorType for &DebugProbe<'_, E> {
        fn outcome(&self) -> Outcome {
            failed(self.0.error_type(), Some(super::text(format_args!("{:?}", self.0))))
        }
    }

    pub trait ByType {
        fn outcome(&self) -> Outcome;
    }

    impl<E: Debug> ByType for DebugProbe<'_, E> {
        fn outcome(&self) -> Outcome {
            failed(type_of(self.0), Some(super::text(format_args!("{:?}", self.0))))
        }
    }
}

/// A `Result`, for arguments that make no sense with anything else.
#[diagnostic::on_unimplemented(
    message = "`err` looks into a `Result`, and this function returns `{Self}`",
    label = "no `Result`: remove `err`"
)]
pub trait Fallible {
    /// The error's type.
    type Error;
    /// The error, if it is one.
    fn error(&self) -> Option<&Self::Error>;
}

impl<T, E> Fallible for Result<T, E> {
    type Error = E;

    fn error(&self) -> Option<&E> {
        self.as_ref().err()
    }
}

/// The outcome of `err = debug`.
pub fn outcome_by<R: Fallible>(returned: &R, describe: impl FnOnce(&R::Error) -> Outcome) -> Outcome {
    returned.error().map_or(Outcome::None, describe)
}

/// The outcome of `err = PATH`; `None` means that this error is no failure.
pub fn outcome_with<R: Fallible>(
    returned: &R,
    classify: impl FnOnce(&R::Error) -> Option<ErrorInfo>,
) -> Outcome {
    returned.error().and_then(classify).map_or(Outcome::None, Outcome::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    macro_rules! outcome {
        ($value:expr) => {{
            use probe::*;
            (&&&&&Probe(&$value)).outcome()
        }};
    }

    fn type_and_description(outcome: Outcome) -> Option<(String, Option<String>)> {
        match outcome {
            Outcome::None => None,
            Outcome::Failed { error_type, description } => {
                Some((error_type.into(), description.map(Into::into)))
            }
        }
    }

    #[derive(Debug)]
    struct Coded;

    impl Display for Coded {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("in words")
        }
    }

    impl ErrorType for Coded {
        fn error_type(&self) -> Cow<'static, str> {
            "coded".into()
        }
    }

    #[derive(Debug)]
    struct OnlyDebug;

    struct Nothing;

    #[test]
    fn error_type_comes_first() {
        let found = type_and_description(outcome!(Err::<(), _>(Coded)));
        assert_eq!(found, Some(("coded".into(), Some("in words".into()))));
    }

    #[test]
    fn then_display_then_debug_then_the_type_alone() {
        let (kind, text) = type_and_description(outcome!(Err::<(), _>(std::fmt::Error))).unwrap();
        assert_eq!((kind.as_str(), text), ("core::fmt::Error", Some(std::fmt::Error.to_string())));
        let (kind, text) = type_and_description(outcome!(Err::<(), _>(OnlyDebug))).unwrap();
        assert!(kind.ends_with("::OnlyDebug"));
        assert_eq!(text.as_deref(), Some("OnlyDebug"));
        let (kind, text) = type_and_description(outcome!(Err::<(), _>(Nothing))).unwrap();
        assert!(kind.ends_with("::Nothing"));
        assert_eq!(text, None);
    }

    #[test]
    fn boxed_errors_go_by_display() {
        let boxed: Box<dyn std::error::Error + Send + Sync> = "broken".into();
        let (_, text) = type_and_description(outcome!(Err::<(), _>(boxed))).unwrap();
        assert_eq!(text.as_deref(), Some("broken"));
    }

    #[test]
    fn anything_else_says_nothing() {
        assert_eq!(outcome!(Ok::<_, Nothing>(1)), Outcome::None);
        assert_eq!(outcome!(Some(Err::<(), _>(Coded))), Outcome::None);
        assert_eq!(outcome!(Nothing), Outcome::None);
    }

    // A generic error is classified by the bounds that it has where the function is written.
    #[test]
    fn generic_errors_go_by_their_bounds() {
        fn by_debug<E: Debug>(value: &Result<(), E>) -> Outcome {
            outcome!(*value)
        }
        let (_, text) = type_and_description(by_debug(&Err(Coded))).unwrap();
        assert_eq!(text.as_deref(), Some("Coded"));
    }

    #[test]
    fn of_nested_results_the_outermost_counts() {
        assert_eq!(outcome!(Ok::<_, Coded>(Err::<(), _>(Coded))), Outcome::None);
    }
}
