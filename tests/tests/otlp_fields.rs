//! What arrives at an OTLP endpoint, field by field, over both protocols.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{
    Event, Link, Span as _, SpanBuilder, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _,
    TraceFlags, TraceId, TraceState, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Array, Context, InstrumentationScope, KeyValue, StringValue, Value};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue as ProtoKeyValue};
use opentelemetry_proto::tonic::trace::v1::span::{
    Event as ProtoEvent, Link as ProtoLink, SpanKind as ProtoKind,
};
use opentelemetry_proto::tonic::trace::v1::{ScopeSpans, Span, Status as ProtoStatus};
use throughline::{Exporter, OtlpProtocol, Setup, Telemetry};
use throughline_tests::otlp::{Received, Receiver};

const FAR: Duration = Duration::from_secs(60);

fn at(nanos: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(1_785_542_400_000_000_000 + nanos)
}

fn setup(receiver: &Receiver, protocol: OtlpProtocol) -> Telemetry {
    let url = match protocol {
        OtlpProtocol::Grpc => receiver.grpc_url(),
        _ => receiver.http_url(),
    };
    Setup::new("planner")
        .without_environment()
        .exporters([Exporter::Otlp])
        .otlp_endpoint(url)
        .otlp_protocol(protocol)
        .otlp_header("x-tenant", "blue")
        // Batches leave by flush and shutdown only.
        .schedule_delay(FAR)
        .resource_attribute(KeyValue::new("deployment.environment.name", "test"))
        .local()
        .expect("set-up")
}

fn remote_parent() -> SpanContext {
    SpanContext::new(
        TraceId::from(0x1122_3344_5566_7788_99aa_bbcc_ddee_ff00),
        SpanId::from(0x8877_6655_4433_2211),
        TraceFlags::SAMPLED,
        true,
        "vendor=value".parse::<TraceState>().expect("a trace state"),
    )
}

fn linked() -> SpanContext {
    SpanContext::new(
        TraceId::from(0x2233_4455_6677_8899_aabb_ccdd_eeff_0011),
        SpanId::from(0x2030_4050_6070_8090),
        TraceFlags::default(),
        false,
        "other=link".parse::<TraceState>().expect("a trace state"),
    )
}

fn strings(items: &[&'static str]) -> Value {
    Value::Array(Array::String(items.iter().map(|item| StringValue::from(*item)).collect()))
}

/// Sends one span with a value in every field, and a plain one of another scope.
fn send(telemetry: &Telemetry) {
    let provider = telemetry.provider().expect("tracing is on");
    let scope = InstrumentationScope::builder("planner-lib")
        .with_version("2.1.0")
        .with_schema_url("https://example.com/scope/1")
        .with_attributes([KeyValue::new("scope.attribute", true)])
        .build();
    let tracer = provider.tracer_with_scope(scope);
    let parent = Context::new().with_remote_span_context(remote_parent());
    let mut span = tracer.build_with_context(
        SpanBuilder::from_name("process plans")
            .with_kind(SpanKind::Consumer)
            .with_start_time(at(1_000))
            .with_attributes([
                KeyValue::new("text", "value"),
                KeyValue::new("whole", -42),
                KeyValue::new("double", 3.5),
                KeyValue::new("yes", true),
                KeyValue::new("texts", strings(&["a", "b"])),
                KeyValue::new("wholes", Value::Array(Array::I64(vec![1, 2]))),
                KeyValue::new("doubles", Value::Array(Array::F64(vec![0.5]))),
                KeyValue::new("yeses", Value::Array(Array::Bool(vec![true, false]))),
            ])
            .with_links(vec![Link::new(linked(), vec![KeyValue::new("link.attribute", "linked")], 0)]),
        &parent,
    );
    let event = Event::new("exception", at(1_500), vec![KeyValue::new("exception.type", "io")], 0);
    span.add_event_with_timestamp(event.name, event.timestamp, event.attributes);
    span.set_status(Status::error("disk full"));
    span.end_with_timestamp(at(2_500));

    let mut root = provider
        .tracer("")
        .build_with_context(SpanBuilder::from_name("root").with_start_time(at(0)), &Context::new());
    root.end_with_timestamp(at(10));
}

fn any(value: Any) -> Option<AnyValue> {
    Some(AnyValue { value: Some(value) })
}

fn pair(key: &str, value: Any) -> ProtoKeyValue {
    ProtoKeyValue { key: key.into(), value: any(value), key_strindex: 0 }
}

fn array(values: impl IntoIterator<Item = Any>) -> Any {
    let values = values.into_iter().map(|value| AnyValue { value: Some(value) }).collect();
    Any::ArrayValue(ArrayValue { values })
}

fn text(text: &str) -> Any {
    Any::StringValue(text.into())
}

/// The span, apart from its own id, which is made by chance.
fn expected(span_id: Vec<u8>) -> Span {
    Span {
        trace_id: 0x1122_3344_5566_7788_99aa_bbcc_ddee_ff00_u128.to_be_bytes().to_vec(),
        span_id,
        trace_state: "vendor=value".into(),
        parent_span_id: 0x8877_6655_4433_2211_u64.to_be_bytes().to_vec(),
        // Sampled; it is known whether the parent is remote; it is.
        flags: 0x301,
        name: "process plans".into(),
        kind: ProtoKind::Consumer as i32,
        start_time_unix_nano: 1_785_542_400_000_001_000,
        end_time_unix_nano: 1_785_542_400_000_002_500,
        attributes: vec![
            pair("text", text("value")),
            pair("whole", Any::IntValue(-42)),
            pair("double", Any::DoubleValue(3.5)),
            pair("yes", Any::BoolValue(true)),
            pair("texts", array([text("a"), text("b")])),
            pair("wholes", array([Any::IntValue(1), Any::IntValue(2)])),
            pair("doubles", array([Any::DoubleValue(0.5)])),
            pair("yeses", array([Any::BoolValue(true), Any::BoolValue(false)])),
        ],
        dropped_attributes_count: 0,
        events: vec![ProtoEvent {
            time_unix_nano: 1_785_542_400_000_001_500,
            name: "exception".into(),
            attributes: vec![pair("exception.type", text("io"))],
            dropped_attributes_count: 0,
        }],
        dropped_events_count: 0,
        links: vec![ProtoLink {
            trace_id: 0x2233_4455_6677_8899_aabb_ccdd_eeff_0011_u128.to_be_bytes().to_vec(),
            span_id: 0x2030_4050_6070_8090_u64.to_be_bytes().to_vec(),
            trace_state: "other=link".into(),
            attributes: vec![pair("link.attribute", text("linked"))],
            dropped_attributes_count: 0,
            flags: 0x100,
        }],
        dropped_links_count: 0,
        status: Some(ProtoStatus { message: "disk full".into(), code: 2 }),
    }
}

/// Sends, shuts down, and gives the one request that arrived.
fn received(protocol: OtlpProtocol) -> Received {
    let receiver = Receiver::start();
    let telemetry = setup(&receiver, protocol);
    send(&telemetry);
    let report = telemetry.shutdown(FAR);
    assert!(report.is_complete(), "{report}");
    assert_eq!(report.exporters[0].exported, 2);
    let mut requests = receiver.requests();
    assert_eq!(requests.len(), 1, "one batch");
    requests.remove(0)
}

fn scope<'r>(received: &'r Received, name: &str) -> &'r ScopeSpans {
    let scopes = &received.request.resource_spans[0].scope_spans;
    scopes
        .iter()
        .find(|group| group.scope.as_ref().is_some_and(|scope| scope.name == name))
        .expect("the scope")
}

fn every_field_arrives(protocol: OtlpProtocol) {
    let received = received(protocol);
    assert_eq!(received.headers.get("x-tenant").expect("the header"), "blue");

    assert_eq!(received.request.resource_spans.len(), 1);
    let resource = received.request.resource_spans[0].resource.as_ref().expect("a resource");
    for expected in [
        pair("service.name", text("planner")),
        pair("deployment.environment.name", text("test")),
        pair("telemetry.sdk.language", text("rust")),
    ] {
        assert!(resource.attributes.contains(&expected), "{expected:?} in {resource:?}");
    }

    let group = scope(&received, "planner-lib");
    assert_eq!(group.schema_url, "https://example.com/scope/1");
    let library = group.scope.as_ref().expect("a scope");
    assert_eq!(library.version, "2.1.0");
    assert_eq!(library.attributes, [pair("scope.attribute", Any::BoolValue(true))]);
    assert_eq!(group.spans.len(), 1);
    let span = &group.spans[0];
    assert_eq!(span.span_id.len(), 8);
    assert_ne!(span.span_id, [0; 8]);
    assert_eq!(*span, expected(span.span_id.clone()));

    let root = &scope(&received, "").spans[0];
    assert_eq!(root.parent_span_id, Vec::<u8>::new(), "a root has no parent, not one of zeros");
    assert_eq!((root.flags, root.kind), (0x101, ProtoKind::Internal as i32));
    assert_eq!(root.status, Some(ProtoStatus::default()));
}

#[test]
fn every_field_arrives_over_http() {
    every_field_arrives(OtlpProtocol::HttpProtobuf);
}

#[test]
fn every_field_arrives_over_grpc() {
    every_field_arrives(OtlpProtocol::Grpc);
}

#[test]
fn gzip_arrives_over_both_protocols() {
    for protocol in ["http/protobuf", "grpc"] {
        let receiver = Receiver::start();
        let url = if protocol == "grpc" { receiver.grpc_url() } else { receiver.http_url() };
        let telemetry = Setup::new("planner")
            .environment([
                ("OTEL_TRACES_EXPORTER", "otlp"),
                ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", url.as_str()),
                ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
                ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
            ])
            .local()
            .expect("set-up");
        send(&telemetry);
        let report = telemetry.shutdown(FAR);
        assert!(report.is_complete(), "{protocol}: {report}");
        let requests = receiver.requests();
        let header = if protocol == "grpc" { "grpc-encoding" } else { "content-encoding" };
        assert_eq!(requests[0].headers.get(header).expect("it is compressed"), "gzip", "{protocol}");
        assert_eq!(receiver.spans().len(), 2, "{protocol}");
    }
}
