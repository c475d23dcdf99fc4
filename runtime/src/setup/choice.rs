//! The words of the settings: which exporters, propagators, protocols and formats there are.

use super::parse;
use crate::propagation::Format;

/// Where finished spans go; `OTEL_TRACES_EXPORTER` or `TRACING_EXPORTER` name them, several with commas between.
///
/// Without any word the choice is `otlp` when an OTLP endpoint is set, else `console`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Exporter {
    /// `console`: standard output, a tree per trace for people, or JSON lines by `THROUGHLINE_CONSOLE_FORMAT`.
    Console,
    /// `otlp`: an OpenTelemetry collector, Jaeger, Tempo, a Datadog agent, or whatever else speaks OTLP.
    ///
    /// Needs the feature `otlp`, over gRPC the feature `otlp-grpc`.
    Otlp,
    /// `database`: PostgreSQL, or an SQLite file, as `THROUGHLINE_DATABASE_URL` says.
    ///
    /// Needs the feature `postgres` or `sqlite`.
    Database,
    /// `kafka`: OTLP requests in a topic, as the Collector, Jaeger and `throughline serve --from-kafka` read them.
    ///
    /// Needs the feature `kafka-export`, and `THROUGHLINE_KAFKA_BROKERS`.
    Kafka,
    /// `none`: ids, the sampled flag and propagation work, nothing is exported.
    None,
}

impl Exporter {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Console => "console",
            Self::Otlp => "otlp",
            Self::Database => "database",
            Self::Kafka => "kafka",
            Self::None => "none",
        }
    }
}

/// Back ends whose native exporters are dead or deprecated; all of them take OTLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Plain,
    Jaeger,
    Datadog,
    Zipkin,
}

pub(crate) const EXPORTERS: &[(&str, (Exporter, Dialect))] = &[
    ("console", (Exporter::Console, Dialect::Plain)),
    ("otlp", (Exporter::Otlp, Dialect::Plain)),
    ("jaeger", (Exporter::Otlp, Dialect::Jaeger)),
    ("datadog", (Exporter::Otlp, Dialect::Datadog)),
    ("zipkin", (Exporter::Otlp, Dialect::Zipkin)),
    ("database", (Exporter::Database, Dialect::Plain)),
    ("kafka", (Exporter::Kafka, Dialect::Plain)),
    ("none", (Exporter::None, Dialect::Plain)),
];

/// The words of `OTEL_PROPAGATORS`; `None` is `none`.
pub(crate) fn propagators() -> Vec<(&'static str, Option<Format>)> {
    let formats = Format::ALL.iter().map(|(word, format)| (*word, Some(*format)));
    formats.chain([("none", None)]).collect()
}

pub(crate) fn name_of(format: Format) -> &'static str {
    Format::ALL.iter().find(|(_, known)| *known == format).map_or("", |(word, _)| word)
}

/// How OTLP is sent; `OTEL_EXPORTER_OTLP_PROTOCOL` names it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OtlpProtocol {
    /// `http/protobuf`, port 4318: the default.
    #[default]
    HttpProtobuf,
    /// `grpc`, port 4317.
    Grpc,
}

impl OtlpProtocol {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::HttpProtobuf => "http/protobuf",
            Self::Grpc => "grpc",
        }
    }
}

pub(crate) fn otlp_protocol(text: &str) -> Result<OtlpProtocol, parse::Expected> {
    parse::word(text, &[("http/protobuf", OtlpProtocol::HttpProtobuf), ("grpc", OtlpProtocol::Grpc)])
}

/// What the console exporter prints; `THROUGHLINE_CONSOLE_FORMAT` names it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConsoleFormat {
    /// `tree`: one tree per trace, for people.
    #[default]
    Tree,
    /// `json`: one span per line, for programs.
    Json,
}

impl ConsoleFormat {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Tree => "tree",
            Self::Json => "json",
        }
    }
}

pub(crate) fn console_format(text: &str) -> Result<ConsoleFormat, parse::Expected> {
    parse::word(text, &[("tree", ConsoleFormat::Tree), ("json", ConsoleFormat::Json)])
}

/// What log lines look like; `THROUGHLINE_LOG_FORMAT` names it. Needs the feature `log`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LogFormat {
    /// `text`: for people, the ids in front of the line.
    #[default]
    Text,
    /// `json`: one object per line, the ids as its first fields.
    Json,
}

impl LogFormat {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

pub(crate) fn log_format(text: &str) -> Result<LogFormat, parse::Expected> {
    parse::word(text, &[("text", LogFormat::Text), ("json", LogFormat::Json)])
}
