//! From ended spans to exporters.
//!
//! | file | holds |
//! |---|---|
//! | `intake`, `bridge` | where spans come from: annotated functions, and the stock SDK |
//! | `collector`, `convert`, `size` | the thread that makes batches of `SpanData` |
//! | `spans` | a batch of them, and what it was made of |
//! | `clockwork`, `timeline` | the time of a tick |
//! | `exporter`, `delivery` | what an exporter is, and how batches get there |
//! | `report` | what became of every span |

mod bridge;
mod clockwork;
mod collector;
mod convert;
pub(crate) mod delivery;
pub(crate) mod exporter;
mod intake;
pub(crate) mod report;
mod size;
pub(crate) mod spans;
#[cfg(test)]
mod tests;
mod timeline;

use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanProcessor};

use self::bridge::{Bridge, SharedProcessor};
use self::collector::{Collector, CollectorSettings};
use self::delivery::{Delivered, Delivery, DeliverySettings};
use self::exporter::BatchExporter;
use self::intake::{Intake, LocalIntake};
use self::report::{Health, HealthState, QueueHealth, Report};
use crate::span::fork;
use crate::span::ids::Generator;
use crate::span::sampler::{self, SamplerSetting};
use crate::span::{SpanLimits, exchange, limits};

/// The collector counts as dead when it has not been heard of for this long.
const HEARTBEAT_LATE: Duration = Duration::from_secs(10);

/// Batches that an exporter's place in the queue has room for at least: its oldest give way one by one.
const BATCHES: usize = 8;

/// What a pipeline is made of.
#[derive(Debug)]
pub(crate) struct PipelineSettings {
    pub(crate) resource: Resource,
    pub(crate) sampler: SamplerSetting,
    pub(crate) limits: SpanLimits,
    /// Bound on all spans between their end and their export, in bytes.
    pub(crate) queue_bytes: usize,
    /// The same as a number of spans.
    pub(crate) queue_spans: Option<usize>,
    pub(crate) schedule_delay: Duration,
    pub(crate) batch_size: usize,
    /// Limit for one batch over all its attempts.
    pub(crate) export_timeout: Duration,
    /// Whether spans carry `code.function.name` and its kin.
    pub(crate) code_attributes: bool,
    /// The user's own processors.
    pub(crate) processors: Vec<Box<dyn SpanProcessor>>,
}

/// Everything between the end of a span and its exporters.
pub(crate) struct Pipeline {
    intake: Arc<Intake>,
    collector: Arc<Collector>,
    delivery: Arc<Delivery>,
    processors: Vec<SharedProcessor>,
    provider: SdkTracerProvider,
    queue_bytes: usize,
    is_global: bool,
    /// The report of the shutdown; there is one shutdown.
    ended: Mutex<bool>,
}

impl fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipeline").field("is_global", &self.is_global).finish_non_exhaustive()
    }
}

impl Pipeline {
    /// Starts the threads. With `global`, annotated functions record from here on; the caller makes sure that this
    /// happens once.
    pub(crate) fn start(
        settings: PipelineSettings,
        exporters: Vec<Box<dyn BatchExporter>>,
        global: bool,
    ) -> std::io::Result<Self> {
        fork::watch();
        // Spans wait in two places, chunks before the collector and batches after it. Each has half of the bound.
        let half = settings.queue_bytes / 2;
        let intake = Arc::new(if global {
            limits::set(settings.limits);
            Intake::Global(exchange::install(half, settings.queue_spans))
        } else {
            Intake::Local(Box::new(LocalIntake::new(half)))
        });
        let exporter_count = exporters.len();
        let delivery = Arc::new(Delivery::start(
            exporters,
            settings.resource.clone(),
            DeliverySettings {
                queue_bytes: half,
                queue_spans: settings.queue_spans,
                export_timeout: settings.export_timeout,
            },
        ));
        let processors: Vec<SharedProcessor> = settings
            .processors
            .into_iter()
            .map(|processor| SharedProcessor::new(processor, &settings.resource))
            .collect();
        let collector = Arc::new(Collector::start(
            Arc::clone(&intake),
            Arc::clone(&delivery),
            processors.clone(),
            CollectorSettings {
                schedule_delay: settings.schedule_delay,
                batch_size: settings.batch_size.max(1),
                batch_bytes: half / exporter_count.max(1) / BATCHES,
                code_attributes: settings.code_attributes,
            },
        )?);
        let bridge = Bridge { intake: Arc::clone(&intake), flush: flush_by(&collector, &delivery) };
        let limits = settings.limits;
        let mut provider = SdkTracerProvider::builder()
            .with_resource(settings.resource)
            .with_sampler(settings.sampler.to_sdk())
            .with_id_generator(Generator)
            .with_max_attributes_per_span(limits.attributes)
            .with_max_events_per_span(limits.events)
            .with_max_links_per_span(limits.links)
            .with_max_attributes_per_event(limits.attributes_per_event)
            .with_max_attributes_per_link(limits.attributes_per_link)
            .with_span_processor(bridge);
        for processor in &processors {
            provider = provider.with_span_processor(processor.clone());
        }
        let provider = provider.build();
        if global {
            sampler::switch_on(&settings.sampler);
        }
        Ok(Self {
            intake,
            collector,
            delivery,
            processors,
            provider,
            queue_bytes: settings.queue_bytes,
            is_global: global,
            ended: Mutex::new(false),
        })
    }

    /// The stock SDK's provider, whose spans come to this pipeline.
    pub(crate) fn provider(&self) -> SdkTracerProvider {
        self.provider.clone()
    }

    /// Offers every span that ended before the call to the exporters, and waits for none of them. False if the
    /// deadline passed.
    pub(crate) fn collect(&self, deadline: Instant) -> bool {
        fork::is_child() || self.collector.collect(deadline)
    }

    /// Delivers every span that ended before the call, or says at the deadline what is left.
    pub(crate) fn flush(&self, deadline: Instant) -> Report {
        if fork::is_child() {
            return Report::nothing();
        }
        let collected = self.collector.collect(deadline);
        let delivered = self.delivery.flush(deadline);
        let processed = bridge::for_each(&self.processors, deadline, |processor| {
            let _ = processor.force_flush();
        });
        self.report(delivered, collected && processed)
    }

    /// Ends recording, delivers what is left, ends the threads. A second call reports again and changes nothing.
    pub(crate) fn shutdown(&self, deadline: Instant) -> Report {
        if fork::is_child() {
            return Report::nothing();
        }
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = !std::mem::replace(&mut *ended, true);
        let collected = if is_first {
            if self.is_global {
                sampler::switch_off();
            }
            self.intake.close();
            self.collector.stop(deadline)
        } else {
            true
        };
        drop(ended);
        let delivered = self.delivery.shutdown(deadline);
        let processed = !is_first
            || bridge::for_each(&self.processors, deadline, move |processor| {
                let left = deadline.saturating_duration_since(Instant::now());
                let _ = processor.shutdown_with_timeout(left);
            });
        self.report(delivered, collected && processed)
    }

    fn report(&self, delivered: Delivered, collected_in_time: bool) -> Report {
        let collected = self.collector.shared.collected.load(Ordering::Relaxed);
        let (started, ended, mut dropped) = self.intake.counts();
        if self.collector.shared.has_ended() {
            // A thread that saw the queue open just before it was closed wrote to it after the last look.
            dropped.already_shutdown += ended.saturating_sub(collected + dropped.total());
        }
        Report {
            ended,
            collected,
            dropped,
            unfinished: started.saturating_sub(ended),
            exporters: delivered.exporters,
            deadline_met: collected_in_time && delivered.deadline_met,
        }
    }

    /// The state of every part.
    pub(crate) fn health(&self) -> Health {
        if fork::is_child() {
            return Health { state: HealthState::Down, is_forked_child: true, ..Health::default() };
        }
        let exporters = self.delivery.health();
        let shared = &self.collector.shared;
        let heartbeat_age = shared.heartbeat_age();
        let collector = if heartbeat_age.is_some_and(|age| age > HEARTBEAT_LATE) {
            HealthState::Down
        } else if shared.panics.load(Ordering::Relaxed) > 0 {
            HealthState::Degraded
        } else {
            HealthState::Ok
        };
        let (_, ended, dropped) = self.intake.counts();
        let collected = shared.collected.load(Ordering::Relaxed);
        // An exporter that is down takes nobody out of rotation: the whole is then degraded.
        let worst = exporters.iter().map(|exporter| exporter.state).max().unwrap_or_default();
        Health {
            state: collector.max(worst.min(HealthState::Degraded)),
            exporters,
            queue: QueueHealth {
                spans: ended.saturating_sub(dropped.total()).saturating_sub(collected),
                bytes: self.intake.bytes() as u64,
                capacity: self.queue_bytes as u64,
            },
            heartbeat_age,
            is_forked_child: false,
            writes_after_end: match *self.intake {
                Intake::Global(_) => crate::span::writes_after_end(),
                Intake::Local(_) => 0,
            },
            clock: if shared.uses_ticks.load(Ordering::Relaxed) { "tsc" } else { "os" },
        }
    }
}

/// What the SDK's provider calls to flush. The provider may outlive the pipeline: it is registered for ever.
fn flush_by(
    collector: &Arc<Collector>,
    delivery: &Arc<Delivery>,
) -> Box<dyn Fn(Instant) -> bool + Send + Sync> {
    let (collector, delivery) = (Arc::downgrade(collector), Arc::downgrade(delivery));
    Box::new(move |deadline| match (Weak::upgrade(&collector), Weak::upgrade(&delivery)) {
        (Some(collector), Some(delivery)) => {
            collector.collect(deadline) && delivery.flush(deadline).deadline_met
        }
        _ => true,
    })
}
