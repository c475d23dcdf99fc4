//! What is so at the moment of a collection, asked of the runners that live then.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Meter, ObservableGauge};

use crate::kafka::attributes;
use crate::kafka::runner::engine::Engine;

static RUNNERS: Mutex<Vec<Weak<Engine>>> = Mutex::new(Vec::new());

pub(super) fn register(engine: &Arc<Engine>) {
    let mut runners = RUNNERS.lock().unwrap_or_else(PoisonError::into_inner);
    runners.retain(|runner| runner.strong_count() > 0);
    runners.push(Arc::downgrade(engine));
}

/// The runners of each group: two in one process make one measurement.
fn groups() -> BTreeMap<Arc<str>, Vec<Arc<Engine>>> {
    let runners: Vec<_> =
        RUNNERS.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade).collect();
    let mut groups: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for runner in runners {
        groups.entry(Arc::clone(&runner.constants().group)).or_default().push(runner);
    }
    groups
}

pub(super) struct Gauges {
    _counts: Vec<ObservableGauge<u64>>,
    _oldest: ObservableGauge<f64>,
}

impl Gauges {
    pub(super) fn new(meter: &Meter) -> Self {
        let count = |name, unit, description, of: fn(&Engine) -> usize| {
            meter
                .u64_observable_gauge(format!("throughline.messaging.consumer.{name}"))
                .with_unit(unit)
                .with_description(description)
                .with_callback(move |observer| {
                    for (group, runners) in groups() {
                        let sum: usize = runners.iter().map(|runner| of(runner)).sum();
                        observer.observe(u64::try_from(sum).unwrap_or(u64::MAX), &about(&group));
                    }
                })
                .build()
        };
        let counts = vec![
            count("in_flight", "{message}", "Records that were taken and are not finished.", |runner| {
                runner.owned.all().iter().map(|generation| generation.unfinished()).sum()
            }),
            count("partitions", "{partition}", "Partitions that are assigned.", |runner| {
                runner.owned.all().len()
            }),
            count(
                "paused",
                "{partition}",
                "Partitions that are paused because they are blocked.",
                |runner| runner.owned.all().iter().filter(|generation| generation.is_paused()).count(),
            ),
            count("halted", "{partition}", "Partitions that stopped at a record.", |runner| {
                runner.owned.all().iter().filter(|generation| generation.halted().is_some()).count()
            }),
            meter
                .u64_observable_gauge("throughline.messaging.consumer.lag")
                .with_unit("{message}")
                .with_description("Records from the watermark of a partition to its end.")
                .with_callback(|observer| {
                    for (group, runners) in groups() {
                        for generation in runners.iter().flat_map(|runner| runner.owned.all()) {
                            let Some(lag) = generation.lag().and_then(|lag| u64::try_from(lag).ok()) else {
                                continue;
                            };
                            let mut about = about(&group).to_vec();
                            about.push(KeyValue::new(attributes::DESTINATION, generation.topic.to_string()));
                            about.extend(attributes::partition(generation.partition));
                            observer.observe(lag, &about);
                        }
                    }
                })
                .build(),
        ];
        let oldest = meter
            .f64_observable_gauge("throughline.messaging.consumer.oldest_in_flight")
            .with_unit("s")
            .with_description("Time since the oldest unfinished record was taken.")
            .with_callback(|observer| {
                for (group, runners) in groups() {
                    let oldest = runners.iter().filter_map(|runner| {
                        let at = runner
                            .owned
                            .all()
                            .iter()
                            .filter_map(|generation| generation.oldest_ms())
                            .min()?;
                        Some(runner.age(at))
                    });
                    observer.observe(oldest.max().unwrap_or_default().as_secs_f64(), &about(&group));
                }
            })
            .build();
        Gauges { _counts: counts, _oldest: oldest }
    }
}

fn about(group: &str) -> [KeyValue; 2] {
    [KeyValue::new(attributes::SYSTEM, "kafka"), KeyValue::new(attributes::GROUP, group.to_owned())]
}
