//! From settings to a running pipeline, and its registration.

use std::sync::Arc;

use opentelemetry::global;

#[cfg(feature = "otlp")]
use super::OtlpSettings;
use super::builder::Setup;
use super::choice::{ConsoleFormat, Exporter};
#[cfg(feature = "tracing")]
use super::effective::Source;
use super::error::SetupError;
use super::sampling::Sampler;
use super::settings::Settings;
use super::telemetry::{self, Shared, Telemetry};
use super::{panic_hook, signal};
#[cfg(feature = "otlp")]
use crate::export::otlp::OtlpConfig;
use crate::pipeline::exporter::BatchExporter;
use crate::pipeline::{Pipeline, PipelineSettings};
use crate::propagation::{self, Propagator};
use crate::span::sampler::SamplerSetting;
use crate::{diagnostics, export};

/// Installs for the process. The lock is held throughout, so that of two set-ups at once one is an error.
pub(super) fn global(mut setup: Setup) -> Result<Telemetry, SetupError> {
    let mut installed = telemetry::lock();
    if installed.is_some() {
        return Err(SetupError::AlreadyInstalled);
    }
    let mut settings = setup.resolve()?;
    let pipeline = start(&mut setup, &mut settings, true)?;
    diagnostics::set_verbosity(settings.verbosity);
    // Also when switched off: a service that does not trace must not cut its neighbours' traces.
    propagation::register(Propagator::new(settings.propagators.iter().copied()));
    let provider = pipeline.as_ref().map(Pipeline::provider);
    if let Some(provider) = &provider {
        global::set_tracer_provider(provider.clone());
    }
    #[cfg(feature = "tracing")]
    subscribe(&setup, &mut settings, provider.as_ref());
    if setup.panic_hook {
        panic_hook::install();
    }
    if setup.flush_on_signal
        && let Err(error) = signal::flush_on_signal(settings.shutdown_timeout)
    {
        diagnostics::warn(format_args!("signals do not flush: {error}"));
    }
    let shared = Arc::new(share(pipeline, settings));
    *installed = Some(Arc::clone(&shared));
    // Whoever takes our lines may ask for `Telemetry::current()`.
    drop(installed);
    let telemetry = Telemetry::guard(shared);
    for warning in telemetry.effective_config().warnings() {
        diagnostics::warn(format_args!("{warning}"));
    }
    diagnostics::info(format_args!("tracing is set up: {}", telemetry.effective_config().summary()));
    Ok(telemetry)
}

/// Starts a pipeline beside the installed one.
pub(super) fn local(mut setup: Setup) -> Result<Telemetry, SetupError> {
    let mut settings = setup.resolve()?;
    let pipeline = start(&mut setup, &mut settings, false)?;
    Ok(Telemetry::guard(Arc::new(share(pipeline, settings))))
}

fn share(pipeline: Option<Pipeline>, settings: Settings) -> Shared {
    let service =
        settings.resource.get(&"service.name".into()).map(|name| name.to_string()).unwrap_or_default();
    Shared::new(pipeline, service, settings.config, settings.shutdown_timeout)
}

/// `None` when switched off: no threads, no recording.
fn start(
    setup: &mut Setup,
    settings: &mut Settings,
    is_global: bool,
) -> Result<Option<Pipeline>, SetupError> {
    if !settings.enabled {
        return Ok(None);
    }
    let mut exporters = exporters(settings)?;
    exporters.append(&mut setup.objects);
    let pipeline = PipelineSettings {
        resource: settings.resource.clone(),
        sampler: sampler(setup, settings.sampler),
        limits: settings.limits,
        queue_bytes: settings.queue_bytes,
        queue_spans: settings.queue_spans,
        schedule_delay: settings.schedule_delay,
        batch_size: settings.batch_size,
        export_timeout: settings.export_timeout,
        code_attributes: setup.code_attributes,
        processors: std::mem::take(&mut setup.processors),
    };
    let started = Pipeline::start(pipeline, exporters, is_global);
    started.map(Some).map_err(|source| SetupError::Thread { source })
}

fn exporters(settings: &mut Settings) -> Result<Vec<Box<dyn BatchExporter>>, SetupError> {
    let mut exporters: Vec<Box<dyn BatchExporter>> = Vec::new();
    for exporter in &settings.exporters {
        match exporter {
            Exporter::Console => exporters.push(match settings.console_format {
                ConsoleFormat::Tree => export::console::tree(),
                ConsoleFormat::Json => export::console::json_lines(),
            }),
            #[cfg(feature = "otlp")]
            Exporter::Otlp => {
                if let Some(otlp) = settings.otlp.take() {
                    exporters.push(otlp_exporter(otlp)?);
                }
            }
            // Refused when the settings were resolved.
            #[cfg(not(feature = "otlp"))]
            Exporter::Otlp => {}
            #[cfg(any(feature = "sqlite", feature = "postgres"))]
            Exporter::Database => {
                if let Some(options) = settings.database.take() {
                    let refused = |source| SetupError::Exporter { exporter: "database", source };
                    exporters
                        .push(export::database::database(options).map_err(|error| refused(Box::new(error)))?);
                }
            }
            #[cfg(not(any(feature = "sqlite", feature = "postgres")))]
            Exporter::Database => {}
            #[cfg(feature = "kafka-export")]
            Exporter::Kafka => {
                if let Some(kafka) = settings.kafka.take() {
                    let refused = |source| SetupError::Exporter { exporter: "kafka", source };
                    exporters.push(export::kafka::kafka(&kafka).map_err(|error| refused(Box::new(error)))?);
                }
            }
            #[cfg(not(feature = "kafka-export"))]
            Exporter::Kafka => {}
            Exporter::None => {}
        }
    }
    Ok(exporters)
}

#[cfg(feature = "otlp")]
fn otlp_exporter(settings: OtlpSettings) -> Result<Box<dyn BatchExporter>, SetupError> {
    let build = match settings.protocol {
        #[cfg(feature = "otlp-grpc")]
        super::OtlpProtocol::Grpc => export::otlp::grpc,
        _ => export::otlp::http,
    };
    build(OtlpConfig {
        name: Exporter::Otlp.as_str().to_owned(),
        url: settings.endpoint.url(),
        headers: settings.headers,
        timeout: settings.timeout,
        gzip: settings.gzip,
        certificate: settings.certificate,
        client_identity: settings.client_identity,
    })
    .map_err(|source| SetupError::Exporter { exporter: "otlp", source: Box::new(source) })
}

fn sampler(setup: &mut Setup, decided: Sampler) -> SamplerSetting {
    match decided {
        Sampler::AlwaysOn => SamplerSetting::AlwaysOn,
        Sampler::AlwaysOff => SamplerSetting::AlwaysOff,
        Sampler::Ratio(ratio) => SamplerSetting::Ratio(ratio),
        Sampler::ParentBasedAlwaysOn => SamplerSetting::ParentBasedAlwaysOn,
        Sampler::ParentBasedAlwaysOff => SamplerSetting::ParentBasedAlwaysOff,
        Sampler::ParentBasedRatio(ratio) => SamplerSetting::ParentBasedRatio(ratio),
        Sampler::Custom => match setup.sampler.take() {
            Some(sampler) => SamplerSetting::Custom(sampler),
            None => SamplerSetting::ParentBasedAlwaysOn,
        },
    }
}

#[cfg(feature = "tracing")]
fn subscribe(
    setup: &Setup,
    settings: &mut Settings,
    provider: Option<&opentelemetry_sdk::trace::SdkTracerProvider>,
) {
    let (value, source) = if !setup.subscriber {
        ("left to the program", Source::Code)
    } else {
        let rust_log = setup.environment.text("RUST_LOG");
        let installed =
            super::subscriber::install(provider, setup.span_level, settings.log_format, rust_log.as_deref());
        (if installed { "installed" } else { "the program's own, which was there before" }, Source::Default)
    };
    settings.config.push("tracing.subscriber", value, source);
}
