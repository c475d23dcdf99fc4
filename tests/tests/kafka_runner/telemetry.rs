//! What the engine tells by itself: commits as spans (C-3), metrics (3.5).

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use opentelemetry::trace::{SpanKind, Status};
use opentelemetry::{SpanId, global};
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, SdkMeterProvider};
use throughline::kafka::{Attempt, Backoff, Record, tracked};

use super::policies::support::{attribute, commits, telemetry, text};
use super::support::{Broker, Door, Log, healthy, soon};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_are_root_spans_with_the_message_count() {
    telemetry();
    let broker = Broker::start(2);
    broker.produce(0..20);
    let mut config = broker.config();
    config.set("client.id", "till");
    let log = Log::default();
    let runner = broker
        .consumer()
        .config(config)
        .group("with-spans")
        .commit(tracked(Duration::from_secs(3_600), 1_000))
        .start(log.handler())
        .unwrap();
    log.has_handled(0..20).await;
    soon(runner.close(Duration::from_secs(20))).await.unwrap();
    let commits = commits("with-spans");
    // All at the end.
    assert_eq!(commits.len(), 1, "{commits:#?}");
    let commit = &commits[0];
    assert_eq!((&*commit.name, &commit.span_kind), ("commit orders", &SpanKind::Client));
    assert_eq!((commit.parent_span_id, &commit.status), (SpanId::INVALID, &Status::Unset));
    assert!(commit.links.links.is_empty());
    for (name, value) in [
        ("messaging.system", "kafka"),
        ("messaging.operation.name", "commit"),
        ("messaging.destination.name", "orders"),
        ("messaging.client.id", "till"),
        ("messaging.batch.message_count", "20"),
        ("server.address", "127.0.0.1"),
    ] {
        assert_eq!(text(commit, name).as_deref(), Some(value), "{name}");
    }
    assert_eq!(attribute(commit, "error.type"), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commit_spans_can_be_switched_off() {
    telemetry();
    let broker = Broker::start(1);
    broker.produce(0..5);
    let log = Log::default();
    let runner = broker.consumer().group("without-spans").settle_spans(false).start(log.handler()).unwrap();
    log.has_handled(0..5).await;
    let report = soon(runner.close(Duration::from_secs(20))).await.unwrap();
    assert!(report.commits >= 1);
    assert_eq!(commits("without-spans").len(), 0);
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

type Attributes = BTreeMap<String, String>;

/// What is measured now of the runner's metrics for a group: name and attributes beside the group, and the value.
fn measured(group: &str) -> BTreeMap<(String, Attributes), f64> {
    let (provider, exporter) = meters();
    provider.force_flush().unwrap();
    let exported = exporter.get_finished_metrics().unwrap();
    exporter.reset();
    let mut found = BTreeMap::new();
    let metrics = exported.last().into_iter().flat_map(|resource| resource.scope_metrics());
    for metric in metrics.flat_map(|scope| scope.metrics()) {
        let Some(name) = metric.name().strip_prefix("throughline.messaging.consumer.") else { continue };
        let mut add = |attributes: Vec<opentelemetry::KeyValue>, value: f64| {
            let mut attributes: Attributes =
                attributes.iter().map(|kv| (kv.key.to_string(), kv.value.to_string())).collect();
            assert_eq!(attributes.remove("messaging.system").as_deref(), Some("kafka"));
            if attributes.remove("messaging.consumer.group.name").as_deref() == Some(group) {
                found.insert((name.to_owned(), attributes), value);
            }
        };
        #[allow(clippy::cast_precision_loss, reason = "small numbers")]
        match metric.data() {
            AggregatedMetrics::U64(MetricData::Sum(sum)) => {
                sum.data_points()
                    .for_each(|point| add(point.attributes().cloned().collect(), point.value() as f64));
            }
            AggregatedMetrics::U64(MetricData::Gauge(gauge)) => {
                gauge
                    .data_points()
                    .for_each(|point| add(point.attributes().cloned().collect(), point.value() as f64));
            }
            AggregatedMetrics::F64(MetricData::Gauge(gauge)) => {
                gauge
                    .data_points()
                    .for_each(|point| add(point.attributes().cloned().collect(), point.value()));
            }
            AggregatedMetrics::F64(MetricData::Histogram(histogram)) => histogram
                .data_points()
                .for_each(|point| add(point.attributes().cloned().collect(), point.count() as f64)),
            other => panic!("{name}: {other:?}"),
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runner_is_measured() {
    meters();
    let broker = Broker::start(2);
    broker.produce(0..20);
    let mut config = broker.config();
    config.set("statistics.interval.ms", "20");
    let (log, door) = (Log::default(), Door::closed());
    let (seen, waits) = (log.clone(), door.clone());
    let runner = broker
        .consumer()
        .config(config)
        .group("measured")
        .retry(Backoff::new().attempts(2).initial(Duration::from_millis(1)))
        .start(move |record: Record, attempt: Attempt| {
            let (log, door) = (seen.clone(), waits.clone());
            async move {
                if record.partition() == Some(0) && record.offset() == Some(0) && !attempt.is_last() {
                    return Err("not yet");
                }
                let call = log.begin(&record);
                door.pass().await;
                log.end(call);
                Ok(())
            }
        })
        .unwrap();
    log.has_begun(2).await;
    healthy(&runner, |health| {
        health.lag == Some(20) && health.oldest_in_flight_ms.is_some_and(|age| age > 0)
    })
    .await;
    let none = Attributes::new();
    let at = |partition: &str| {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        Attributes::from([
            pair("messaging.destination.name", "orders"),
            pair("messaging.destination.partition.id", partition),
        ])
    };
    let now = measured("measured");
    let value =
        |name: &str, attributes: &Attributes| now.get(&(name.to_owned(), attributes.clone())).copied();
    assert_eq!(value("in_flight", &none), Some(2.0), "{now:#?}");
    assert_eq!(value("partitions", &none), Some(2.0));
    assert_eq!((value("paused", &none), value("halted", &none)), (Some(0.0), Some(0.0)));
    assert!(value("oldest_in_flight", &none).is_some_and(|age| age > 0.0));
    assert_eq!((value("lag", &at("0")), value("lag", &at("1"))), (Some(10.0), Some(10.0)));

    door.open();
    log.has_handled(0..20).await;
    soon(runner.close(Duration::from_secs(20))).await.unwrap();
    drop(runner);
    let now = measured("measured");
    let value = |name: &str, key: &str, is: &str| {
        now.get(&(name.to_owned(), Attributes::from([(key.to_owned(), is.to_owned())]))).copied()
    };
    assert_eq!(value("retries", "messaging.destination.name", "orders"), Some(1.0), "{now:#?}");
    assert_eq!(value("rebalances", "type", "assign"), Some(1.0));
    assert_eq!(value("rebalances", "type", "revoke"), Some(1.0));
    assert_eq!(value("rebalance.duration", "type", "revoke"), Some(1.0));
    assert!(value("commits", "outcome", "ok").is_some_and(|commits| commits >= 1.0));
    // Gone with its partitions, instead of standing at its last value for ever.
    assert!(!now.keys().any(|(name, _)| name == "lag"), "{now:#?}");
}
