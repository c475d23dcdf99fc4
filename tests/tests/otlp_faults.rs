//! A receiver that misbehaves, over both protocols: what is tried again, what is not, and what the report says.

use std::time::{Duration, Instant};

use opentelemetry::trace::{Span as _, Tracer as _, TracerProvider as _};
use throughline::{Exporter, HealthState, OtlpProtocol, Setup, Telemetry};
use throughline_tests::otlp::{Receiver, Reply};

const FAR: Duration = Duration::from_secs(60);
const BOTH: [OtlpProtocol; 2] = [OtlpProtocol::HttpProtobuf, OtlpProtocol::Grpc];

fn setup(receiver: &Receiver, protocol: OtlpProtocol) -> Setup {
    let url = match protocol {
        OtlpProtocol::Grpc => receiver.grpc_url(),
        _ => receiver.http_url(),
    };
    Setup::new("planner")
        .without_environment()
        .exporters([Exporter::Otlp])
        .otlp_endpoint(url)
        .otlp_protocol(protocol)
        .otlp_timeout(FAR)
        // Batches leave by flush and shutdown only.
        .schedule_delay(FAR)
}

fn start(receiver: &Receiver, protocol: OtlpProtocol) -> Telemetry {
    setup(receiver, protocol).local().expect("set-up")
}

fn send(telemetry: &Telemetry, spans: usize) {
    let tracer = telemetry.provider().expect("tracing is on").tracer("test");
    for number in 0..spans {
        tracer.start(format!("span {number}")).end();
    }
}

#[test]
fn what_is_temporary_is_tried_again_and_arrives_once() {
    for protocol in BOTH {
        for fault in [Reply::Throttles(Duration::ZERO), Reply::Unavailable, Reply::Cuts] {
            let receiver = Receiver::replying([fault, fault]);
            let telemetry = start(&receiver, protocol);
            send(&telemetry, 5);
            let report = telemetry.shutdown(FAR);
            assert!(report.is_complete(), "{protocol:?} {fault:?}: {report}");
            assert_eq!(report.exporters[0].exported, 5, "{protocol:?} {fault:?}");
            let sizes: Vec<_> = receiver.requests().iter().map(|request| request.spans().count()).collect();
            assert_eq!(sizes, [5, 5, 5], "{protocol:?} {fault:?}");
            assert_eq!(receiver.spans().len(), 5, "{protocol:?} {fault:?}");
        }
    }
}

#[test]
fn pause_that_the_receiver_asks_for_is_kept() {
    for protocol in BOTH {
        let receiver = Receiver::replying([Reply::Throttles(Duration::from_secs(1))]);
        let telemetry = start(&receiver, protocol);
        send(&telemetry, 1);
        let begin = Instant::now();
        assert!(telemetry.shutdown(FAR).is_complete());
        assert!(begin.elapsed() >= Duration::from_secs(1), "{protocol:?}: {:?}", begin.elapsed());
    }
}

#[test]
fn what_is_wrong_for_good_is_not_tried_again() {
    for protocol in BOTH {
        let receiver = Receiver::replying([Reply::Invalid]);
        let telemetry = start(&receiver, protocol);
        send(&telemetry, 4);
        let report = telemetry.flush(FAR);
        assert!(report.deadline_met, "{protocol:?}: {report}");
        assert_eq!(report.exporters[0].dropped.export_failed, 4, "{protocol:?}: {report}");
        assert_eq!(receiver.requests().len(), 1, "{protocol:?}");
        let health = telemetry.health();
        assert_eq!(health.state, HealthState::Degraded, "{protocol:?}");
        let error = health.exporters[0].last_error.clone().expect("an error");
        assert!(error.contains("span without a name"), "{protocol:?}: {error}");
        send(&telemetry, 3);
        assert_eq!(telemetry.shutdown(FAR).exporters[0].exported, 3, "{protocol:?}: the next batch arrives");
    }
}

#[test]
fn batch_that_is_too_large_is_halved() {
    for protocol in BOTH {
        let receiver = Receiver::deciding(|request| {
            let spans: usize =
                request.resource_spans.iter().flat_map(|r| &r.scope_spans).map(|s| s.spans.len()).sum();
            if spans > 3 { Reply::TooLarge } else { Reply::Takes }
        });
        let telemetry = start(&receiver, protocol);
        send(&telemetry, 10);
        let report = telemetry.shutdown(FAR);
        assert!(report.is_complete(), "{protocol:?}: {report}");
        let mut names: Vec<_> = receiver.spans().into_iter().map(|span| span.name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 10, "{protocol:?}: each span once");
    }
}

#[test]
fn spans_refused_by_a_partial_success_are_counted() {
    for protocol in BOTH {
        let receiver = Receiver::replying([Reply::Refuses(2)]);
        let telemetry = start(&receiver, protocol);
        send(&telemetry, 7);
        let report = telemetry.shutdown(FAR);
        assert_eq!(report.exporters[0].exported, 5, "{protocol:?}: {report}");
        assert_eq!(report.exporters[0].dropped.rejected, 2, "{protocol:?}: {report}");
        let error = telemetry.health().exporters[0].last_error.clone();
        assert_eq!(error.as_deref(), Some("older than the retention"), "{protocol:?}");
    }
}

#[test]
fn receiver_that_hangs_keeps_nobody_beyond_the_deadline_and_is_told() {
    for protocol in BOTH {
        let receiver = Receiver::deciding(|_| Reply::Hangs);
        let telemetry = start(&receiver, protocol);
        send(&telemetry, 6);
        let _ = telemetry.flush(Duration::ZERO);
        receiver.wait_for_requests(1);
        let begin = Instant::now();
        let report = telemetry.shutdown(Duration::from_millis(100));
        assert!(begin.elapsed() < FAR, "{protocol:?}");
        assert!(!report.deadline_met, "{protocol:?}: {report}");
        assert_eq!(report.exporters[0].undelivered, 6, "{protocol:?}: {report}");
        let again = telemetry.shutdown(FAR);
        assert_eq!(again.exporters, report.exporters, "{protocol:?}: idempotent");
    }
}

#[test]
fn hanging_receiver_costs_the_batch_after_the_export_timeout() {
    for protocol in BOTH {
        let receiver = Receiver::replying([Reply::Hangs]);
        let telemetry =
            setup(&receiver, protocol).export_timeout(Duration::from_secs(1)).local().expect("set-up");
        send(&telemetry, 2);
        let report = telemetry.flush(FAR);
        assert_eq!(report.exporters[0].dropped.export_failed, 2, "{protocol:?}: {report}");
        send(&telemetry, 3);
        assert_eq!(telemetry.shutdown(FAR).exporters[0].exported, 3, "{protocol:?}");
    }
}

#[test]
fn receiver_that_is_down_opens_the_breaker_and_shutdown_does_not_wait() {
    for protocol in BOTH {
        let receiver = Receiver::deciding(|_| Reply::Invalid);
        let telemetry = start(&receiver, protocol);
        for _ in 0..3 {
            send(&telemetry, 1);
            assert!(telemetry.flush(FAR).deadline_met);
        }
        let health = telemetry.health();
        assert_eq!(health.exporters[0].state, HealthState::Down, "{protocol:?}");
        assert_eq!(health.state, HealthState::Degraded, "{protocol:?}: the program itself works");
        let report = telemetry.shutdown(FAR);
        assert!(report.deadline_met, "{protocol:?}: {report}");
        assert_eq!(report.exporters[0].dropped.export_failed, 3, "{protocol:?}: {report}");
    }
}
