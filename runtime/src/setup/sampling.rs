//! Which traces are recorded: `OTEL_TRACES_SAMPLER` and its argument.

use super::effective::{Resolver, Source};
use super::parse;

/// A decision about roots, and whether a parent's decision goes before it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Sampler {
    AlwaysOn,
    AlwaysOff,
    Ratio(f64),
    ParentBasedAlwaysOn,
    ParentBasedAlwaysOff,
    ParentBasedRatio(f64),
    /// The object given to `Setup::sampler`.
    Custom,
}

impl Sampler {
    fn show(self) -> String {
        match self {
            Self::AlwaysOn => "always_on".to_owned(),
            Self::AlwaysOff => "always_off".to_owned(),
            Self::Ratio(ratio) => format!("traceidratio({ratio})"),
            Self::ParentBasedAlwaysOn => "parentbased_always_on".to_owned(),
            Self::ParentBasedAlwaysOff => "parentbased_always_off".to_owned(),
            Self::ParentBasedRatio(ratio) => format!("parentbased_traceidratio({ratio})"),
            Self::Custom => "custom".to_owned(),
        }
    }
}

const VARIABLE: &str = "OTEL_TRACES_SAMPLER";
const ARGUMENT: &str = "OTEL_TRACES_SAMPLER_ARG";

/// Makes a sampler of the argument, if it takes one.
type Make = fn(f64) -> Sampler;

const WORDS: &[(&str, Make)] = &[
    ("always_on", |_| Sampler::AlwaysOn),
    ("always_off", |_| Sampler::AlwaysOff),
    ("traceidratio", Sampler::Ratio),
    ("parentbased_always_on", |_| Sampler::ParentBasedAlwaysOn),
    ("parentbased_always_off", |_| Sampler::ParentBasedAlwaysOff),
    ("parentbased_traceidratio", Sampler::ParentBasedRatio),
];

pub(super) fn resolve(r: &mut Resolver<'_>, code: Option<Sampler>) -> Sampler {
    let code = match code {
        Some(Sampler::Ratio(ratio) | Sampler::ParentBasedRatio(ratio)) if !(0.0..=1.0).contains(&ratio) => {
            r.warn(
                "`Setup::sample_ratio`",
                format!("is `{ratio}`; expected a number from 0 to 1; it is treated as unset"),
            );
            None
        }
        code => code,
    };
    let (sampler, source) = match (from_environment(r), code) {
        (Some(sampler), _) => (sampler, Source::Variable(VARIABLE)),
        (None, Some(sampler)) => (sampler, Source::Code),
        (None, None) => (Sampler::ParentBasedAlwaysOn, Source::Default),
    };
    r.push("sampler", sampler.show(), source);
    sampler
}

fn from_environment(r: &mut Resolver<'_>) -> Option<Sampler> {
    let Some((make, _)) = r.first(&[(VARIABLE, |text| parse::word(text, WORDS))]) else {
        if r.text(ARGUMENT).is_some() {
            r.warn(ARGUMENT, format!("has no effect without {VARIABLE}"));
        }
        return None;
    };
    let needs_ratio = matches!(make(1.0), Sampler::Ratio(_) | Sampler::ParentBasedRatio(_));
    if !needs_ratio {
        return Some(make(1.0));
    }
    // Without a readable argument the specification says 1.0: rather too many traces than none.
    Some(make(r.first(&[(ARGUMENT, parse::ratio)]).map_or(1.0, |(ratio, _)| ratio)))
}
