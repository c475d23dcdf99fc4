//! A meter provider that is set after the first message, and one that takes its place. A process of its own: both are
//! global.

use opentelemetry::global;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, SdkMeterProvider};
use rdkafka::message::{OwnedMessage, Timestamp};
use throughline::kafka::{ProcessOptions, process_sync};

fn handle() {
    let message = OwnedMessage::new(None, None, "orders".to_owned(), Timestamp::NotAvailable, 0, 0, None);
    process_sync(&message, ProcessOptions::new(), || Ok::<_, std::fmt::Error>(())).unwrap();
}

fn provider() -> (SdkMeterProvider, InMemoryMetricExporter) {
    let exporter = InMemoryMetricExporter::default();
    (SdkMeterProvider::builder().with_periodic_exporter(exporter.clone()).build(), exporter)
}

fn measured((provider, exporter): &(SdkMeterProvider, InMemoryMetricExporter)) -> u64 {
    provider.force_flush().unwrap();
    let exported = exporter.get_finished_metrics().unwrap();
    let metrics = exported.last().into_iter().flat_map(|resource| resource.scope_metrics());
    metrics
        .flat_map(|scope| scope.metrics())
        .filter(|metric| metric.name() == "messaging.process.duration")
        .map(|metric| match metric.data() {
            AggregatedMetrics::F64(MetricData::Histogram(histogram)) => {
                histogram.data_points().map(|point| point.count()).sum::<u64>()
            }
            other => panic!("{other:?}"),
        })
        .sum()
}

/// kafka.md M-4. Tracing is not even set up here.
#[test]
fn a_provider_counts_from_the_moment_it_is_set() {
    handle();
    let first = provider();
    global::set_meter_provider(first.0.clone());
    handle();
    handle();
    assert_eq!(measured(&first), 2);
    let second = provider();
    global::set_meter_provider(second.0.clone());
    handle();
    assert_eq!((measured(&first), measured(&second)), (2, 1));
}
