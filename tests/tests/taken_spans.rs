//! An exporter given as an object gets the spans themselves, and the same again after a time-out. A process of its own: the
//! set-up is global.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry::trace::{Tracer as _, TracerProvider as _};
use opentelemetry::{KeyValue, Value, global};
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use rdkafka::message::{Header, OwnedHeaders, OwnedMessage, Timestamp};
use throughline::kafka::{ProcessOptions, process_sync};
use throughline::{Setup, traced_span};

/// Runs into a time-out the first time.
#[derive(Clone, Debug, Default)]
struct Late(Arc<Mutex<Vec<Vec<SpanData>>>>);

impl SpanExporter for Late {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let mut batches = self.0.lock().unwrap();
        batches.push(batch);
        if batches.len() == 1 { Err(OTelSdkError::Timeout(Duration::from_secs(1))) } else { Ok(()) }
    }
}

#[traced_span(fields(order))]
fn place(order: &str, note: String) {
    throughline::set_attribute("note", note);
    throughline::add_event("placed", [KeyValue::new("by", "hand".to_owned())]);
    throughline::record_error(&std::fmt::Error);
}

fn handle_message() {
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let headers = OwnedHeaders::new().insert(Header { key: "traceparent", value: Some(parent) });
    let key = Some(b"order-1".to_vec());
    let sent = Timestamp::CreateTime(1_000);
    let message = OwnedMessage::new(None, key, "orders".to_owned(), sent, 3, 42, Some(headers));
    process_sync(&message, ProcessOptions::new().group("billing"), || Ok::<_, std::fmt::Error>(())).unwrap();
}

fn note(spans: &[SpanData]) -> &str {
    let mut all = spans.iter().flat_map(|span| &span.attributes);
    match &all.find(|attribute| attribute.key.as_str() == "note").expect("the span of `place`").value {
        Value::String(text) => text.as_str(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn spans_are_given_away_and_made_again() {
    let exporter = Late::default();
    let telemetry = Setup::new("test")
        .without_environment()
        .subscriber(false)
        .exporter(exporter.clone())
        .install()
        .unwrap();
    let text = "a text of its own".to_owned();
    let text_place = text.as_ptr();
    place("o-1", text);
    handle_message();
    global::tracer_provider().tracer("theirs").in_span("theirs", |_| ());

    let report = telemetry.flush(Duration::from_secs(60));
    assert_eq!((report.exporters[0].exported, report.exporters[0].dropped.total()), (3, 0), "{report}");
    let batches = exporter.0.lock().unwrap();
    let [first, again] = batches.as_slice() else { panic!("{} attempts", batches.len()) };
    assert_eq!(first.len(), 3);
    assert_eq!(first, again);
    assert_eq!(note(first).as_ptr(), text_place, "nothing was copied on the way");
    assert_ne!(note(again).as_ptr(), text_place);
}
