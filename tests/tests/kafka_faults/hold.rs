//! Holds up the runner's poll thread where a program of the user's could: in the logger that librdkafka's lines go to.

use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use log::{LevelFilter, Log, Metadata, Record};

/// How long the next line takes.
static HOLD: Mutex<Option<Duration>> = Mutex::new(None);

struct Holds;

impl Log for Holds {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, _: &Record<'_>) {
        if thread::current().name() == Some("throughline-kafka-poll") {
            let held = HOLD.lock().unwrap().take();
            if let Some(time) = held {
                thread::sleep(time);
            }
        }
    }

    fn flush(&self) {}
}

/// Sets the logger of the process, before the clients are made: they ask once what it wants.
pub(crate) fn install() {
    log::set_logger(&Holds).unwrap();
    log::set_max_level(LevelFilter::Info);
}

/// The next line of the poll thread takes so long.
pub(crate) fn hold_up(time: Duration) {
    *HOLD.lock().unwrap() = Some(time);
}

/// Whether a line is waited for.
pub(crate) fn is_pending() -> bool {
    HOLD.lock().unwrap().is_some()
}
