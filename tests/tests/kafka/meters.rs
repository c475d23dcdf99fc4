//! One meter provider for the process; tests keep their measurements apart by topic.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use opentelemetry::{KeyValue, global};
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, SdkMeterProvider};

/// One measured combination of attributes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Point {
    pub attributes: BTreeMap<String, String>,
    /// Measurements of a histogram, the sum of a counter.
    pub count: u64,
    /// Seconds, of a histogram.
    pub sum: f64,
    pub bounds: Vec<f64>,
    pub unit: String,
}

impl Point {
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.attributes.get(key).map(String::as_str)
    }
}

fn meters() -> &'static (SdkMeterProvider, InMemoryMetricExporter) {
    static METERS: OnceLock<(SdkMeterProvider, InMemoryMetricExporter)> = OnceLock::new();
    METERS.get_or_init(|| {
        let exporter = InMemoryMetricExporter::default();
        let provider = SdkMeterProvider::builder().with_periodic_exporter(exporter.clone()).build();
        global::set_meter_provider(provider.clone());
        (provider, exporter)
    })
}

/// Sets the global meter provider, before what is to be measured.
pub(crate) fn measure() {
    meters();
}

/// What was measured under this name for this topic or template since the process began.
pub(crate) fn points(name: &str, destination: &str) -> Vec<Point> {
    let (provider, exporter) = meters();
    // Read and exported as a whole: another test may flush at the same time.
    static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    provider.force_flush().unwrap();
    let exported = exporter.get_finished_metrics().unwrap();
    exporter.reset();
    let mut found = Vec::new();
    for metric in exported
        .last()
        .iter()
        .flat_map(|resource| resource.scope_metrics())
        .inspect(|scope| assert_eq!(scope.scope().name(), "throughline"))
        .flat_map(|scope| scope.metrics())
        .filter(|metric| metric.name() == name)
    {
        let unit = metric.unit().to_owned();
        match metric.data() {
            AggregatedMetrics::F64(MetricData::Histogram(histogram)) => {
                found.extend(histogram.data_points().map(|point| Point {
                    attributes: texts(point.attributes()),
                    count: point.count(),
                    sum: point.sum(),
                    bounds: point.bounds().collect(),
                    unit: unit.clone(),
                }));
            }
            AggregatedMetrics::U64(MetricData::Sum(sum)) => {
                assert!(sum.is_monotonic());
                found.extend(sum.data_points().map(|point| Point {
                    attributes: texts(point.attributes()),
                    count: point.value(),
                    unit: unit.clone(),
                    ..Point::default()
                }));
            }
            other => panic!("{name}: {other:?}"),
        }
    }
    let of = |point: &Point, key| point.get(key) == Some(destination);
    found.retain(|point| {
        of(point, "messaging.destination.name") || of(point, "messaging.destination.template")
    });
    found
}

/// The one measured combination.
pub(crate) fn point(name: &str, destination: &str) -> Point {
    let mut all = points(name, destination);
    assert_eq!(all.len(), 1, "{name} {destination}: {all:#?}");
    all.remove(0)
}

fn texts<'a>(attributes: impl Iterator<Item = &'a KeyValue>) -> BTreeMap<String, String> {
    attributes.map(|kv| (kv.key.to_string(), kv.value.to_string())).collect()
}
