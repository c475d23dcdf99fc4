//! How inputs are read, and the telemetry of a fuzzing process.
//!
//! An input is text where it can be, so that the corpus can be read and written by hand: 0x1E stands between parts, 0x1F
//! between a header's name and its value. A header without 0x1F has a null value.

use std::sync::Once;
use std::time::Duration;

use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use throughline::Setup;

/// A name and a value that may be null.
pub type Header = (Vec<u8>, Option<Vec<u8>>);

/// The parts of an input.
pub fn parts(input: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> + Clone {
    input.split(|byte| *byte == 0x1e)
}

/// A part as a header. A name ends at its first NUL, as it does for librdkafka.
pub fn header(part: &[u8]) -> Header {
    let (name, value) = match part.iter().position(|byte| *byte == 0x1f) {
        Some(at) => (&part[..at], Some(part[at + 1..].to_vec())),
        None => (part, None),
    };
    let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
    (name.to_vec(), value)
}

#[derive(Debug)]
struct Nowhere;

impl SpanExporter for Nowhere {
    async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
        Ok(())
    }
}

/// Turns tracing on, with all of the W3C propagators; spans are recorded and thrown away.
pub fn telemetry() {
    static SET_UP: Once = Once::new();
    SET_UP.call_once(|| {
        let setup =
            Setup::new("fuzz").without_environment().exporters([]).exporter(Nowhere).subscriber(false);
        let telemetry = setup.schedule_delay(Duration::from_millis(50)).install().expect("set-up");
        // Dropping it would shut it down.
        std::mem::forget(telemetry);
    });
}
