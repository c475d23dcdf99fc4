//! All settings, decided: variables before code before defaults, each with its source.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;

use super::choice::{self, ConsoleFormat, Dialect, EXPORTERS, Exporter, LogFormat};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
use super::database;
use super::effective::{EffectiveConfig, Resolver, Source};
use super::environment::Environment;
use super::error::SetupError;
#[cfg(feature = "kafka-export")]
use super::kafka;
use super::otlp::{self, OtlpGiven, OtlpSettings};
use super::{parse, resource, sampling};
use crate::diagnostics::Verbosity;
use crate::propagation::Format;
use crate::span::SpanLimits;

/// What `Setup` was told in code. Objects (exporters, processors, a sampler) are not here: they have no text.
#[derive(Clone, Default)]
pub(crate) struct Given {
    pub(crate) service: String,
    pub(crate) enabled: Option<bool>,
    pub(crate) exporters: Option<Vec<Exporter>>,
    /// How many exporters were given as objects.
    pub(crate) exporter_objects: usize,
    pub(crate) sampler: Option<sampling::Sampler>,
    pub(crate) propagators: Option<Vec<Format>>,
    pub(crate) resource: Vec<KeyValue>,
    pub(crate) limits: Option<SpanLimits>,
    pub(crate) queue_bytes: Option<usize>,
    pub(crate) schedule_delay: Option<Duration>,
    pub(crate) batch_size: Option<usize>,
    pub(crate) export_timeout: Option<Duration>,
    pub(crate) shutdown_timeout: Option<Duration>,
    pub(crate) console_format: Option<ConsoleFormat>,
    pub(crate) log_format: Option<LogFormat>,
    pub(crate) otlp: OtlpGiven,
    #[cfg_attr(not(any(feature = "sqlite", feature = "postgres")), allow(dead_code))]
    pub(crate) database_url: Option<String>,
    #[cfg_attr(not(feature = "kafka-export"), allow(dead_code))] // the exporter's
    pub(crate) kafka_brokers: Option<String>,
}

/// What holds.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) enabled: bool,
    pub(crate) resource: Resource,
    pub(crate) exporters: Vec<Exporter>,
    /// `Some` exactly when `exporters` has `Otlp`.
    #[cfg_attr(not(feature = "otlp"), allow(dead_code))]
    pub(crate) otlp: Option<OtlpSettings>,
    /// `Some` exactly when `exporters` has `Database`.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(crate) database: Option<crate::store::StoreOptions>,
    #[cfg(feature = "kafka-export")]
    pub(crate) kafka: Option<crate::export::kafka::KafkaConfig>,
    pub(crate) sampler: sampling::Sampler,
    pub(crate) propagators: Vec<Format>,
    pub(crate) limits: SpanLimits,
    pub(crate) queue_bytes: usize,
    pub(crate) queue_spans: Option<usize>,
    pub(crate) schedule_delay: Duration,
    pub(crate) batch_size: usize,
    pub(crate) export_timeout: Duration,
    pub(crate) shutdown_timeout: Duration,
    pub(crate) console_format: ConsoleFormat,
    // Read in any case, for the warning and for `effective_config()`.
    #[cfg_attr(not(feature = "tracing"), allow(dead_code))]
    pub(crate) log_format: LogFormat,
    pub(crate) verbosity: Verbosity,
    pub(crate) config: EffectiveConfig,
}

const DEFAULT_QUEUE_BYTES: usize = 16 << 20;
const DEFAULT_BATCH: usize = 512;
const DEFAULT_DELAY: Duration = Duration::from_secs(1);
const DEFAULT_EXPORT_TIMEOUT: Duration = Duration::from_secs(60);
const DEFAULT_SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// Decides all settings.
///
/// # Errors
///
/// Only what would lose traces in silence; everything else is a warning in `Settings::config`.
pub(crate) fn resolve(given: &Given, environment: &Environment) -> Result<Settings, SetupError> {
    let mut resolver = Resolver::new(environment);
    let r = &mut resolver;

    let resource = resource::resolve(r, &given.service, &given.resource);
    let enabled = enabled(r, given.enabled);
    let (exporters, dialect) = match exporters(r, given) {
        // Whoever switches tracing off must get the program to run.
        Err(SetupError::Invalid { setting, value, expected }) if !enabled => {
            r.warn(setting, format!("is `{value}`; expected {expected}; it is ignored, as tracing is off"));
            (Vec::new(), Dialect::Plain)
        }
        decided => decided?,
    };
    // A program that is switched off has no use for an endpoint, not even for a broken one.
    let otlp = if enabled && exporters.contains(&Exporter::Otlp) {
        if !cfg!(feature = "otlp") {
            return Err(SetupError::FeatureMissing {
                setting: who_named_exporters(r),
                what: "the exporter `otlp`".to_owned(),
                feature: "otlp",
                instead: "",
            });
        }
        Some(otlp::resolve(r, &given.otlp, dialect)?)
    } else {
        None
    };
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    let database = if enabled && exporters.contains(&Exporter::Database) {
        Some(database::resolve(r, given.database_url.as_deref())?)
    } else {
        None
    };
    #[cfg(not(any(feature = "sqlite", feature = "postgres")))]
    if enabled && exporters.contains(&Exporter::Database) {
        return Err(SetupError::FeatureMissing {
            setting: who_named_exporters(r),
            what: "the exporter `database`".to_owned(),
            feature: "sqlite",
            instead: ", or `postgres` for a server",
        });
    }
    #[cfg(feature = "kafka-export")]
    let kafka = if enabled && exporters.contains(&Exporter::Kafka) {
        Some(kafka::resolve(r, given.kafka_brokers.as_deref())?)
    } else {
        None
    };
    #[cfg(not(feature = "kafka-export"))]
    if enabled && exporters.contains(&Exporter::Kafka) {
        return Err(SetupError::FeatureMissing {
            setting: who_named_exporters(r),
            what: "the exporter `kafka`".to_owned(),
            feature: "kafka-export",
            instead: "",
        });
    }
    let sampler = sampling::resolve(r, given.sampler);
    let propagators = propagators(r, given.propagators.clone());
    let limits = limits(r, given.limits.unwrap_or_default());
    let queue_bytes = r.setting(
        "queue.bytes",
        &[("THROUGHLINE_QUEUE_BYTES", parse::bytes)],
        given.queue_bytes.map(|bytes| bytes.max(parse::LEAST_QUEUE_BYTES)),
        DEFAULT_QUEUE_BYTES,
        ToString::to_string,
    );
    let (queue_spans, batch_size) = queue_and_batch(r, given.batch_size);
    let schedule_delay = r.setting(
        "schedule.delay",
        &[("OTEL_BSP_SCHEDULE_DELAY", parse::milliseconds)],
        given.schedule_delay.filter(|delay| !delay.is_zero()),
        DEFAULT_DELAY,
        debug,
    );
    let export_timeout = r.setting(
        "export.timeout",
        &[("OTEL_BSP_EXPORT_TIMEOUT", parse::milliseconds)],
        given.export_timeout.filter(|timeout| !timeout.is_zero()),
        DEFAULT_EXPORT_TIMEOUT,
        debug,
    );
    let shutdown_timeout = r.setting(
        "shutdown.timeout",
        &[("THROUGHLINE_SHUTDOWN_TIMEOUT", parse::duration)],
        given.shutdown_timeout,
        DEFAULT_SHUTDOWN_TIMEOUT,
        debug,
    );
    let console_format = r.setting(
        "console.format",
        &[("THROUGHLINE_CONSOLE_FORMAT", choice::console_format)],
        given.console_format,
        ConsoleFormat::default(),
        |format| format.as_str().to_owned(),
    );
    let log_format = r.setting(
        "log.format",
        &[("THROUGHLINE_LOG_FORMAT", choice::log_format)],
        given.log_format,
        LogFormat::default(),
        |format| format.as_str().to_owned(),
    );
    let verbosity = r.setting("log.level", &[("OTEL_LOG_LEVEL", verbosity)], None, Verbosity::Info, |v| {
        v.as_str().to_owned()
    });
    if r.text("OTEL_CONFIG_FILE").is_some() {
        r.warn("OTEL_CONFIG_FILE", "is ignored; this version reads no configuration files");
    }

    Ok(Settings {
        enabled,
        resource,
        exporters,
        otlp,
        #[cfg(any(feature = "sqlite", feature = "postgres"))]
        database,
        #[cfg(feature = "kafka-export")]
        kafka,
        sampler,
        propagators,
        limits,
        queue_bytes,
        queue_spans,
        schedule_delay,
        batch_size,
        export_timeout,
        shutdown_timeout,
        console_format,
        log_format,
        verbosity,
        config: resolver.config,
    })
}

/// The variable or method that chose the exporters, for an error.
#[cfg_attr(
    all(feature = "otlp", feature = "kafka-export", any(feature = "sqlite", feature = "postgres")),
    allow(dead_code)
)]
fn who_named_exporters(r: &Resolver<'_>) -> String {
    let source = r.config.get("exporters").map_or(String::new(), |setting| setting.source.to_string());
    if source == "code" { "`Setup::exporters`".to_owned() } else { source }
}

fn debug(duration: &Duration) -> String {
    format!("{duration:?}")
}

fn enabled(r: &mut Resolver<'_>, code: Option<bool>) -> bool {
    fn disabled(text: &str) -> Result<bool, parse::Expected> {
        parse::strict_boolean(text).map(|disabled| !disabled)
    }
    r.setting(
        "enabled",
        &[("OTEL_SDK_DISABLED", disabled), ("ENABLE_TRACING", parse::boolean)],
        code,
        true,
        ToString::to_string,
    )
}

/// The exporters by name. A word that is not known is an error: the traces that should go there would be lost.
fn exporters(r: &mut Resolver<'_>, given: &Given) -> Result<(Vec<Exporter>, Dialect), SetupError> {
    let mut dialect = Dialect::Plain;
    let (mut list, source) = match r.first_text(&["OTEL_TRACES_EXPORTER", "TRACING_EXPORTER"]) {
        Some((text, variable)) => {
            let mut list = Vec::new();
            let wrong = |expected| SetupError::Invalid {
                setting: variable.to_owned(),
                value: text.clone(),
                expected: format!("{expected}, several with commas between"),
            };
            for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
                let (exporter, with) = parse::word(name, EXPORTERS).map_err(wrong)?;
                dialect = if with == Dialect::Plain { dialect } else { with };
                list.push(exporter);
            }
            if list.is_empty() {
                return Err(wrong(parse::one_of(EXPORTERS.iter().map(|(word, _)| *word))));
            }
            (list, Source::Variable(variable))
        }
        None => match &given.exporters {
            Some(list) => (list.clone(), Source::Code),
            None if given.exporter_objects > 0 => (Vec::new(), Source::Code),
            None if otlp::endpoint_is_set(r, &given.otlp) => (vec![Exporter::Otlp], Source::Default),
            None => (vec![Exporter::Console], Source::Default),
        },
    };
    dedup(&mut list);
    if list.len() > 1 && list.contains(&Exporter::None) {
        r.warn(source_name(source, "exporters"), "names `none` beside others; `none` is ignored");
        list.retain(|exporter| *exporter != Exporter::None);
    }
    let mut shown: Vec<String> = list.iter().map(|exporter| exporter.as_str().to_owned()).collect();
    if given.exporter_objects > 0 {
        shown.push(format!("{} of the program's own", given.exporter_objects));
    }
    r.push("exporters", shown.join(","), source);
    list.retain(|exporter| *exporter != Exporter::None);
    Ok((list, dialect))
}

/// How a warning calls the origin of a value.
fn source_name(source: Source, method: &str) -> String {
    match source {
        Source::Variable(name) => name.to_owned(),
        _ => format!("`Setup::{method}`"),
    }
}

fn dedup<T: PartialEq>(list: &mut Vec<T>) {
    let mut index = 0;
    while index < list.len() {
        let (before, rest) = list.split_at(index);
        if rest.first().is_some_and(|item| before.contains(item)) {
            list.remove(index);
        } else {
            index += 1;
        }
    }
}

/// An unknown propagator is left out with a warning: the others still connect the traces.
fn propagators(r: &mut Resolver<'_>, code: Option<Vec<Format>>) -> Vec<Format> {
    let variable = "OTEL_PROPAGATORS";
    let words = choice::propagators();
    let mut named = Vec::new();
    if let Some(text) = r.text(variable) {
        for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            match parse::word(name, &words) {
                Ok(format) => named.push(format),
                Err(expected) => {
                    r.warn(variable, format!("names `{name}`, which is left out; expected {expected}"));
                }
            }
        }
    }
    if named.len() > 1 && named.contains(&None) {
        r.warn(variable, "names `none` beside others; `none` is ignored");
    }
    let (mut formats, source): (Vec<Format>, _) = match (named.is_empty(), code) {
        (false, _) => (named.into_iter().flatten().collect(), Source::Variable(variable)),
        (true, Some(formats)) => (formats, Source::Code),
        (true, None) => (vec![Format::TraceContext, Format::Baggage], Source::Default),
    };
    dedup(&mut formats);
    let shown: Vec<&str> = formats.iter().map(|format| choice::name_of(*format)).collect();
    r.push("propagators", if shown.is_empty() { "none".to_owned() } else { shown.join(",") }, source);
    formats
}

fn limits(r: &mut Resolver<'_>, code: SpanLimits) -> SpanLimits {
    let default = SpanLimits::default();
    let mut one =
        |name, variables: &[(&'static str, super::effective::Parser<u32>)], given: u32, default: u32| {
            let given = Some(given).filter(|given| *given != default);
            r.setting(name, variables, given, default, ToString::to_string)
        };
    let mut limits = code;
    limits.attributes = one(
        "limit.attributes",
        &[("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", parse::limit), ("OTEL_ATTRIBUTE_COUNT_LIMIT", parse::limit)],
        code.attributes,
        default.attributes,
    );
    limits.events =
        one("limit.events", &[("OTEL_SPAN_EVENT_COUNT_LIMIT", parse::limit)], code.events, default.events);
    limits.links =
        one("limit.links", &[("OTEL_SPAN_LINK_COUNT_LIMIT", parse::limit)], code.links, default.links);
    limits.attributes_per_event = one(
        "limit.attributes_per_event",
        &[("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", parse::limit)],
        code.attributes_per_event,
        default.attributes_per_event,
    );
    limits.attributes_per_link = one(
        "limit.attributes_per_link",
        &[("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", parse::limit)],
        code.attributes_per_link,
        default.attributes_per_link,
    );
    limits.value_length = r.setting(
        "limit.value_length",
        &[
            ("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", |text| parse::limit(text).map(Some)),
            ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", |text| parse::limit(text).map(Some)),
        ],
        code.value_length.map(Some),
        None,
        |length| length.map_or_else(|| "unlimited".to_owned(), |length| length.to_string()),
    );
    limits
}

/// The bound by count, if any, and the batch, which cannot be larger.
fn queue_and_batch(r: &mut Resolver<'_>, code: Option<usize>) -> (Option<usize>, usize) {
    let queue = r.setting(
        "queue.spans",
        &[("OTEL_BSP_MAX_QUEUE_SIZE", |text| parse::count(text).map(Some))],
        None,
        None,
        |spans| spans.map_or_else(|| "by bytes only".to_owned(), |spans| spans.to_string()),
    );
    let variable = "OTEL_BSP_MAX_EXPORT_BATCH_SIZE";
    let fits = |batch: &usize| queue.is_none_or(|queue| *batch <= queue);
    let from_variable = r.first(&[(variable, parse::count)]).map(|(batch, _)| batch);
    if let (Some(batch), Some(queue)) = (from_variable.filter(|batch| !fits(batch)), queue) {
        r.warn(
            variable,
            format!("is `{batch}`; expected at most OTEL_BSP_MAX_QUEUE_SIZE, which is {queue}; it is treated as unset"),
        );
    }
    let (batch, source) = match (from_variable.filter(fits), code.filter(|batch| *batch > 0).filter(fits)) {
        (Some(batch), _) => (batch, Source::Variable(variable)),
        (None, Some(batch)) => (batch, Source::Code),
        (None, None) => (queue.map_or(DEFAULT_BATCH, |queue| queue.min(DEFAULT_BATCH)), Source::Default),
    };
    r.push("batch.spans", batch.to_string(), source);
    (queue, batch)
}

fn verbosity(text: &str) -> Result<Verbosity, parse::Expected> {
    parse::word(
        text,
        &[
            ("none", Verbosity::Off),
            ("off", Verbosity::Off),
            ("error", Verbosity::Error),
            ("warn", Verbosity::Warn),
            ("info", Verbosity::Info),
            ("debug", Verbosity::Debug),
        ],
    )
}

#[cfg(test)]
mod tests;
