//! `Setup::panic_hook`: what a panic said, on the span it happened in.

use std::panic::{self, PanicHookInfo};
use std::time::Duration;

use opentelemetry::KeyValue;

use super::telemetry::Telemetry;
use crate::span::current;

/// Under `panic = "abort"` no `Drop` will run, so this is the last chance; a hanging collector must not hold up a crash
/// for longer.
const LAST_FLUSH: Duration = Duration::from_secs(1);

/// Puts our hook before the one that is there.
pub(super) fn install() {
    let previous = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        record(info);
        previous(info);
        if cfg!(panic = "abort")
            && let Some(telemetry) = Telemetry::current()
        {
            let _ = telemetry.flush(LAST_FLUSH);
        }
    }));
}

fn record(info: &PanicHookInfo<'_>) {
    let payload = info.payload();
    let message = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("panicked");
    let mut attributes = vec![
        KeyValue::new("exception.type", "panic"),
        KeyValue::new("exception.message", message.to_owned()),
    ];
    if let Some(place) = info.location() {
        attributes.push(KeyValue::new("code.file.path", place.file().to_owned()));
        attributes.push(KeyValue::new("code.line.number", i64::from(place.line())));
    }
    current::add_event("exception", attributes);
}
