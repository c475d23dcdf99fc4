//! A meter provider is noticed although somebody keeps the one that it replaced. A process of its own: it is global.

use opentelemetry::global;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, SdkMeterProvider};
use rdkafka::message::{OwnedMessage, Timestamp};
use throughline::kafka::{ProcessOptions, process_sync};

fn handle() {
    let message = OwnedMessage::new(None, None, "orders".to_owned(), Timestamp::NotAvailable, 0, 0, None);
    process_sync(&message, ProcessOptions::new(), || Ok::<_, std::fmt::Error>(())).unwrap();
}

#[test]
fn a_provider_that_somebody_keeps_does_not_hide_its_successor() {
    handle();
    let kept = global::meter_provider();
    let exporter = InMemoryMetricExporter::default();
    let provider = SdkMeterProvider::builder().with_periodic_exporter(exporter.clone()).build();
    global::set_meter_provider(provider.clone());
    (0..200).for_each(|_| handle());
    provider.force_flush().unwrap();
    let exported = exporter.get_finished_metrics().unwrap();
    let metrics = exported.iter().flat_map(|resource| resource.scope_metrics());
    let mut durations = metrics
        .flat_map(|scope| scope.metrics())
        .filter(|metric| metric.name() == "messaging.process.duration")
        .map(|metric| match metric.data() {
            AggregatedMetrics::F64(MetricData::Histogram(histogram)) => {
                histogram.data_points().map(|point| point.count()).sum::<u64>()
            }
            other => panic!("{other:?}"),
        });
    let measured = durations.next().expect("a duration");
    assert!(measured > 50, "{measured} of 200: each from the moment on at which it was noticed");
    drop(kept);
}
