//! Where settings outside the program come from: the process environment, or a fixed map, so that tests run in
//! parallel without touching the process.

use std::collections::BTreeMap;
use std::env::{self, VarError};

/// The variables that set-up reads.
#[derive(Debug, Clone, Default)]
pub(crate) enum Environment {
    /// Those of this process.
    #[default]
    Process,
    /// Only these.
    Fixed(BTreeMap<String, String>),
    /// None at all: `Setup::without_environment()`.
    Nothing,
}

/// What stands in one variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Variable {
    /// Not there, or empty, which the specification treats alike.
    Unset,
    /// There, without the white space around it.
    Set(String),
    /// There, but no text.
    NotUnicode,
}

impl Environment {
    pub(crate) fn read(&self, name: &str) -> Variable {
        let found = match self {
            Self::Process => match env::var(name) {
                Ok(value) => value,
                Err(VarError::NotPresent) => return Variable::Unset,
                Err(VarError::NotUnicode(_)) => return Variable::NotUnicode,
            },
            Self::Fixed(map) => match map.get(name) {
                Some(value) => value.clone(),
                None => return Variable::Unset,
            },
            Self::Nothing => return Variable::Unset,
        };
        match found.trim() {
            "" => Variable::Unset,
            text => Variable::Set(text.to_owned()),
        }
    }

    /// The value, where a variable that is no text is as good as none.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        match self.read(name) {
            Variable::Set(value) => Some(value),
            Variable::Unset | Variable::NotUnicode => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_means_unset() {
        let environment = Environment::Fixed(
            [("A".to_owned(), "  ".to_owned()), ("B".to_owned(), " b ".to_owned())].into(),
        );
        assert_eq!(environment.read("A"), Variable::Unset);
        assert_eq!(environment.read("B"), Variable::Set("b".to_owned()));
        assert_eq!(environment.read("C"), Variable::Unset);
        assert_eq!(Environment::Nothing.read("PATH"), Variable::Unset);
    }
}
