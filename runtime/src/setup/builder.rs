//! `Setup`: everything that can be said in code.

use std::fmt;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry_sdk::trace::{ShouldSample, SpanExporter, SpanProcessor};

use super::choice::{ConsoleFormat, Exporter, LogFormat, OtlpProtocol};
use super::effective::EffectiveConfig;
use super::environment::Environment;
use super::error::SetupError;
use super::install;
use super::sampling::Sampler;
use super::settings::{self, Given, Settings};
use super::telemetry::Telemetry;
use crate::export;
use crate::pipeline::exporter::BatchExporter;
use crate::propagation::Format;
use crate::span::SpanLimits;

/// Sets tracing up. Values given here rank below those of the environment, so that whoever runs a program has the last
/// word; [`without_environment`](Self::without_environment) turns that round.
///
/// ```
/// # fn main() -> Result<(), throughline::SetupError> {
/// # if true { return Ok(()) }
/// use throughline::{Exporter, Setup};
///
/// let telemetry = Setup::new("planner").exporters([Exporter::Console]).sample_ratio(0.1).install()?;
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing happens until `install` is called"]
pub struct Setup {
    pub(super) given: Given,
    pub(super) environment: Environment,
    pub(super) sampler: Option<Box<dyn ShouldSample>>,
    pub(super) objects: Vec<Box<dyn BatchExporter>>,
    pub(super) processors: Vec<Box<dyn SpanProcessor>>,
    pub(super) strict: bool,
    pub(super) code_attributes: bool,
    pub(super) flush_on_signal: bool,
    pub(super) panic_hook: bool,
    #[cfg(feature = "tracing")]
    pub(super) subscriber: bool,
    #[cfg(feature = "tracing")]
    pub(super) span_level: tracing::Level,
}

impl Setup {
    /// A set-up for the service of this name. `OTEL_SERVICE_NAME`, `service.name` in `OTEL_RESOURCE_ATTRIBUTES` and
    /// `TRACING_SERVICE_NAME` rank before it.
    pub fn new(service_name: impl Into<String>) -> Self {
        Self {
            given: Given { service: service_name.into(), ..Given::default() },
            environment: Environment::Process,
            sampler: None,
            objects: Vec::new(),
            processors: Vec::new(),
            strict: false,
            code_attributes: true,
            flush_on_signal: false,
            panic_hook: false,
            #[cfg(feature = "tracing")]
            subscriber: true,
            #[cfg(feature = "tracing")]
            span_level: tracing::Level::INFO,
        }
    }

    fn with(mut self, change: impl FnOnce(&mut Given)) -> Self {
        change(&mut self.given);
        self
    }

    /// Whether tracing is on; default true. Variables: `OTEL_SDK_DISABLED`, `ENABLE_TRACING`.
    pub fn enabled(self, enabled: bool) -> Self {
        self.with(|given| given.enabled = Some(enabled))
    }

    /// The exporters by name; default `otlp` when an OTLP endpoint is set, else `console`. Variables:
    /// `OTEL_TRACES_EXPORTER`, `TRACING_EXPORTER`.
    pub fn exporters(self, exporters: impl IntoIterator<Item = Exporter>) -> Self {
        self.with(|given| given.exporters = Some(exporters.into_iter().collect()))
    }

    /// An exporter as an object, beside those with a name. It gets a thread to itself and may block there.
    ///
    /// With an object and no names, the object is the only exporter.
    pub fn exporter<E: SpanExporter + 'static>(self, exporter: E) -> Self {
        let path = std::any::type_name::<E>();
        let plain = path.split('<').next().unwrap_or(path);
        let name = plain.rsplit("::").next().unwrap_or(plain);
        self.batch_exporter(export::object(name, exporter))
    }

    pub(crate) fn batch_exporter(mut self, exporter: Box<dyn BatchExporter>) -> Self {
        self.given.exporter_objects += 1;
        self.objects.push(exporter);
        self
    }

    /// Records this share of the traces that begin here, 0 to 1, and what a recorded parent asks for:
    /// `parentbased_traceidratio`. Default: all. Variables: `OTEL_TRACES_SAMPLER`, `OTEL_TRACES_SAMPLER_ARG`.
    pub fn sample_ratio(self, ratio: f64) -> Self {
        self.with(|given| given.sampler = Some(Sampler::ParentBasedRatio(ratio)))
    }

    /// A sampler of your own, for annotated functions and for spans of the OpenTelemetry API alike. It ranks below
    /// `OTEL_TRACES_SAMPLER`.
    pub fn sampler(mut self, sampler: impl ShouldSample + 'static) -> Self {
        self.sampler = Some(Box::new(sampler));
        self.with(|given| given.sampler = Some(Sampler::Custom))
    }

    /// The header formats that trace context travels in; default W3C trace context and baggage, none for an empty list.
    /// Variable: `OTEL_PROPAGATORS`.
    pub fn propagators(self, formats: impl IntoIterator<Item = Format>) -> Self {
        self.with(|given| given.propagators = Some(formats.into_iter().collect()))
    }

    /// A resource attribute. By the specification it beats the same one in `OTEL_RESOURCE_ATTRIBUTES`.
    pub fn resource_attribute(self, attribute: KeyValue) -> Self {
        self.with(|given| given.resource.push(attribute))
    }

    /// Where OTLP goes. Over HTTP a URL without a path gets `/v1/traces`; default `http://localhost:4318/v1/traces`, over
    /// gRPC `http://localhost:4317`. Variables: `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`, `OTEL_EXPORTER_OTLP_ENDPOINT`,
    /// `TRACING_OTLP_ENDPOINT`, `JAEGER_OTLP_ENDPOINT`.
    pub fn otlp_endpoint(self, url: impl Into<String>) -> Self {
        self.with(|given| given.otlp.endpoint = Some(url.into()))
    }

    /// How OTLP is sent; default `http/protobuf`. Variables: `OTEL_EXPORTER_OTLP_TRACES_PROTOCOL`,
    /// `OTEL_EXPORTER_OTLP_PROTOCOL`.
    pub fn otlp_protocol(self, protocol: OtlpProtocol) -> Self {
        self.with(|given| given.otlp.protocol = Some(protocol))
    }

    /// A header of every OTLP request, such as an API key. Variables, which replace all of them:
    /// `OTEL_EXPORTER_OTLP_TRACES_HEADERS`, `OTEL_EXPORTER_OTLP_HEADERS`.
    pub fn otlp_header(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.with(|given| given.otlp.headers.push((name.into(), value.into())))
    }

    /// Limit for one attempt to send; default 10 s. Variables: `OTEL_EXPORTER_OTLP_TRACES_TIMEOUT`,
    /// `OTEL_EXPORTER_OTLP_TIMEOUT`.
    pub fn otlp_timeout(self, timeout: Duration) -> Self {
        self.with(|given| given.otlp.timeout = Some(timeout))
    }

    /// Where the exporter `database` writes: `postgres://USER@HOST/DATABASE` or `sqlite:PATH`; default
    /// `sqlite:./throughline.db`. Variable: `THROUGHLINE_DATABASE_URL`.
    pub fn database_url(self, url: impl Into<String>) -> Self {
        self.with(|given| given.database_url = Some(url.into()))
    }

    /// The brokers to which the exporter `kafka` sends: `HOST:PORT`, several with commas. Variable:
    /// `THROUGHLINE_KAFKA_BROKERS`.
    pub fn kafka_brokers(self, brokers: impl Into<String>) -> Self {
        self.with(|given| given.kafka_brokers = Some(brokers.into()))
    }

    /// What the console exporter prints; default trees. Variable: `THROUGHLINE_CONSOLE_FORMAT`.
    pub fn console_format(self, format: ConsoleFormat) -> Self {
        self.with(|given| given.console_format = Some(format))
    }

    /// What log lines look like; default text. Needs the feature `log`. Variable: `THROUGHLINE_LOG_FORMAT`.
    pub fn log_format(self, format: LogFormat) -> Self {
        self.with(|given| given.log_format = Some(format))
    }

    /// How much one span may carry. Variables: `OTEL_SPAN_*_LIMIT`, `OTEL_ATTRIBUTE_*_LIMIT`, `OTEL_EVENT_*_LIMIT`,
    /// `OTEL_LINK_*_LIMIT`.
    pub fn limits(self, limits: SpanLimits) -> Self {
        self.with(|given| given.limits = Some(limits))
    }

    /// Bound on everything between the end of spans and their export, in bytes; default 16 MiB, at least 64 KiB.
    /// Variable: `THROUGHLINE_QUEUE_BYTES`.
    pub fn queue_bytes(self, bytes: usize) -> Self {
        self.with(|given| given.queue_bytes = Some(bytes))
    }

    /// How long a span waits at most for its batch to fill; default 1 s. Variable: `OTEL_BSP_SCHEDULE_DELAY`.
    pub fn schedule_delay(self, delay: Duration) -> Self {
        self.with(|given| given.schedule_delay = Some(delay))
    }

    /// The spans of a full batch; default 512. Variable: `OTEL_BSP_MAX_EXPORT_BATCH_SIZE`.
    pub fn batch_size(self, spans: usize) -> Self {
        self.with(|given| given.batch_size = Some(spans))
    }

    /// Limit for one batch over all its attempts; default 60 s. Variable: `OTEL_BSP_EXPORT_TIMEOUT`.
    pub fn export_timeout(self, timeout: Duration) -> Self {
        self.with(|given| given.export_timeout = Some(timeout))
    }

    /// How long dropping the guard may block; default 5 s. Variable: `THROUGHLINE_SHUTDOWN_TIMEOUT`.
    pub fn shutdown_timeout(self, timeout: Duration) -> Self {
        self.with(|given| given.shutdown_timeout = Some(timeout))
    }

    /// A span processor of the stock SDK. For spans of annotated functions it gets `on_end`, on our collector thread, and
    /// no `on_start`, which takes a span that only the SDK can make.
    pub fn span_processor(mut self, processor: impl SpanProcessor + 'static) -> Self {
        self.processors.push(Box::new(processor));
        self
    }

    /// Whether spans carry `code.function.name`, `code.file.path` and `code.line.number`; default true.
    pub fn code_attributes(mut self, record: bool) -> Self {
        self.code_attributes = record;
        self
    }

    /// Whether warnings are errors; default false.
    pub fn strict(mut self, strict: bool) -> Self {
        self.strict = strict;
        self
    }

    /// Ignores the environment: only what is said here holds.
    pub fn without_environment(mut self) -> Self {
        self.environment = Environment::Nothing;
        self
    }

    /// Reads these variables in place of those of the process: for tests, which share one process.
    ///
    /// ```
    /// let error = throughline::Setup::new("s").environment([("TRACING_EXPORTER", "otpl")]).effective_config();
    /// assert!(error.unwrap_err().to_string().starts_with("TRACING_EXPORTER is `otpl`; expected `console`"));
    /// ```
    pub fn environment<K: Into<String>, V: Into<String>>(
        mut self,
        variables: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let fixed = variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        self.environment = Environment::Fixed(fixed);
        self
    }

    /// Whether a thread of ours flushes on SIGTERM and SIGINT (Ctrl-C on Windows) and then lets the default action end the
    /// program, so that its exit status is right; default false.
    ///
    /// While somebody waits for [`shutdown_signal`](crate::shutdown_signal) it flushes and ends nothing.
    pub fn flush_on_signal(mut self, flush: bool) -> Self {
        self.flush_on_signal = flush;
        self
    }

    /// Whether a panic's message and place are recorded on the span that it happens in; default false. The hook that is
    /// there is called afterwards. Under `panic = "abort"` it then flushes for at most 1 s: no destructor will.
    pub fn panic_hook(mut self, install: bool) -> Self {
        self.panic_hook = install;
        self
    }

    /// Whether a `tracing` subscriber is installed when the program has none; default true. Turn it off to compose
    /// your own, before or after.
    #[cfg(feature = "tracing")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tracing")))]
    pub fn subscriber(mut self, install: bool) -> Self {
        self.subscriber = install;
        self
    }

    /// The least important `tracing` spans and events that join the traces; default `INFO`.
    #[cfg(feature = "tracing")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tracing")))]
    pub fn span_level(mut self, level: tracing::Level) -> Self {
        self.span_level = level;
        self
    }

    /// What would hold, without installing anything.
    ///
    /// # Errors
    ///
    /// Those of [`install`](Self::install), save `AlreadyInstalled`.
    pub fn effective_config(&self) -> Result<EffectiveConfig, SetupError> {
        self.resolve().map(|settings| settings.config)
    }

    pub(super) fn resolve(&self) -> Result<Settings, SetupError> {
        let settings = settings::resolve(&self.given, &self.environment)?;
        if self.strict && !settings.config.warnings().is_empty() {
            return Err(SetupError::Strict { warnings: settings.config.warnings().to_vec() });
        }
        Ok(settings)
    }

    /// Starts tracing and registers it for the whole process: annotated functions, `opentelemetry::global`, the
    /// propagators, and, with the feature `tracing`, a subscriber.
    ///
    /// Works without a tokio runtime and inside any; takes nothing from the caller's.
    ///
    /// # Errors
    ///
    /// Only what would lose traces in silence: [`AlreadyInstalled`](SetupError::AlreadyInstalled), an exporter that is unknown
    /// or not compiled in, an endpoint that does not parse, a certificate that cannot be read. A collector that is down is
    /// no error: spans wait, and [`Telemetry::health`] tells.
    pub fn install(self) -> Result<Telemetry, SetupError> {
        install::global(self)
    }

    /// The same pipeline without touching anything global: spans come from [`Telemetry::provider`] alone, and annotated
    /// functions stay with what the process has installed.
    ///
    /// # Errors
    ///
    /// Those of [`install`](Self::install), save `AlreadyInstalled`.
    pub fn local(self) -> Result<Telemetry, SetupError> {
        install::local(self)
    }
}

impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setup")
            .field("service", &self.given.service)
            .field("exporters", &self.given.exporters)
            .field("strict", &self.strict)
            .finish_non_exhaustive()
    }
}
