//! What holds after set-up, and where each value came from.

use std::fmt;

use super::environment::{Environment, Variable};
use super::error::Warning;
use super::parse::Expected;

/// Where the value of a setting came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// The environment variable of this name.
    Variable(&'static str),
    /// A method of [`Setup`](crate::Setup).
    Code,
    /// Nobody said anything.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Variable(name) => name,
            Self::Code => "code",
            Self::Default => "default",
        })
    }
}

/// One setting that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Setting {
    /// Its name, such as `sampler`.
    pub name: &'static str,
    /// Its value as text. Header values, passwords, tokens and the user-info of URLs read `REDACTED`.
    pub value: String,
    /// Who decided.
    pub source: Source,
}

/// Every setting with its value and source, and the warnings of set-up.
///
/// ```
/// let config = throughline::Setup::new("planner").environment([("OTEL_TRACES_SAMPLER", "always_on")]).effective_config()?;
/// assert_eq!(config.get("sampler").unwrap().to_string(), "sampler = always_on (OTEL_TRACES_SAMPLER)");
/// # Ok::<(), throughline::SetupError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EffectiveConfig {
    settings: Vec<Setting>,
    warnings: Vec<Warning>,
}

impl EffectiveConfig {
    /// All settings, in a fixed order.
    #[must_use]
    pub fn settings(&self) -> &[Setting] {
        &self.settings
    }

    /// What could not be followed.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// The setting of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Setting> {
        self.settings.iter().find(|setting| setting.name == name)
    }

    pub(crate) fn push(&mut self, name: &'static str, value: impl Into<String>, source: Source) {
        self.settings.push(Setting { name, value: value.into(), source });
    }

    pub(crate) fn warn(&mut self, warning: Warning) {
        self.warnings.push(warning);
    }

    /// What differs from a set-up of which nobody said anything, in one line for the log.
    pub(crate) fn summary(&self) -> String {
        let always = ["service.name", "exporters"];
        let parts: Vec<String> = self
            .settings
            .iter()
            .filter(|setting| setting.source != Source::Default || always.contains(&setting.name))
            .map(|setting| format!("{}={}", setting.name, setting.value))
            .collect();
        parts.join(" ")
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {} ({})", self.name, self.value, self.source)
    }
}

/// One setting per line, then the warnings.
impl fmt::Display for EffectiveConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for setting in &self.settings {
            writeln!(f, "{setting}")?;
        }
        for warning in &self.warnings {
            writeln!(f, "warning: {warning}")?;
        }
        Ok(())
    }
}

/// A reader of one variable's text.
pub(super) type Parser<T> = fn(&str) -> Result<T, Expected>;

/// Looks settings up in their order of precedence and writes down what it found.
pub(super) struct Resolver<'e> {
    pub(super) environment: &'e Environment,
    pub(super) config: EffectiveConfig,
}

impl<'e> Resolver<'e> {
    pub(super) fn new(environment: &'e Environment) -> Self {
        Self { environment, config: EffectiveConfig::default() }
    }

    pub(super) fn warn(&mut self, setting: impl Into<String>, message: impl Into<String>) {
        self.config.warn(Warning::new(setting, message));
    }

    pub(super) fn push(&mut self, name: &'static str, value: impl Into<String>, source: Source) {
        self.config.push(name, value, source);
    }

    /// The text of a variable. One that is no text is warned of and counts as unset.
    pub(super) fn text(&mut self, variable: &'static str) -> Option<String> {
        match self.environment.read(variable) {
            Variable::Set(text) => Some(text),
            Variable::Unset => None,
            Variable::NotUnicode => {
                self.warn(variable, "is not valid UTF-8; it is treated as unset");
                None
            }
        }
    }

    /// The first of `variables` that is set, with its name.
    pub(super) fn first_text(&mut self, variables: &[&'static str]) -> Option<(String, &'static str)> {
        variables.iter().find_map(|variable| Some((self.text(variable)?, *variable)))
    }

    /// The first of `variables` that is set and can be read. One that cannot is warned of and counts as unset.
    pub(super) fn first<T>(&mut self, variables: &[(&'static str, Parser<T>)]) -> Option<(T, &'static str)> {
        variables.iter().find_map(|(variable, parse)| {
            let text = self.text(variable)?;
            match parse(&text) {
                Ok(value) => Some((value, *variable)),
                Err(expected) => {
                    self.warn(*variable, format!("is `{text}`; expected {expected}; it is treated as unset"));
                    None
                }
            }
        })
    }

    /// A setting by precedence: variables, code, default.
    pub(super) fn setting<T>(
        &mut self,
        name: &'static str,
        variables: &[(&'static str, Parser<T>)],
        code: Option<T>,
        default: T,
        show: impl FnOnce(&T) -> String,
    ) -> T {
        let (value, source) = match (self.first(variables), code) {
            (Some((value, variable)), _) => (value, Source::Variable(variable)),
            (None, Some(value)) => (value, Source::Code),
            (None, None) => (default, Source::Default),
        };
        self.push(name, show(&value), source);
        value
    }
}
