//! A logger that blocks, where librdkafka's lines go to.

use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use log::{LevelFilter, Log, Metadata, Record};

#[derive(Clone, Copy)]
enum Hold {
    No,
    /// The next line of a runner takes at most so long.
    Next(Duration),
    Until(Instant),
}

static HOLD: Mutex<Hold> = Mutex::new(Hold::No);

fn now() -> Hold {
    *HOLD.lock().unwrap()
}

struct Holds;

impl Log for Holds {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, _: &Record<'_>) {
        let is_of_a_runner =
            thread::current().name().is_some_and(|name| name.starts_with("throughline-kafka"));
        if let (true, Hold::Next(time)) = (is_of_a_runner, now()) {
            *HOLD.lock().unwrap() = Hold::Until(Instant::now() + time);
            while is_holding() {
                thread::sleep(Duration::from_millis(10));
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

/// The next line of a runner takes so long, or until it is let go.
pub(crate) fn hold_up(time: Duration) {
    *HOLD.lock().unwrap() = Hold::Next(time);
}

pub(crate) fn let_go() {
    *HOLD.lock().unwrap() = Hold::No;
}

/// Whether a line is waited for.
pub(crate) fn is_pending() -> bool {
    matches!(now(), Hold::Next(_))
}

/// Whether a line blocks.
pub(crate) fn is_holding() -> bool {
    matches!(now(), Hold::Until(until) if Instant::now() < until)
}
