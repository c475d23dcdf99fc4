//! The candidates, each written as its users write it.

mod count;
mod fastrace_spans;
mod ours;
mod sdk_spans;
mod tracing_spans;

// The bench of allocations does not look at what was exported.
#[allow(unused_imports)]
pub(crate) use count::{CountSpans, exported, malformed};

use std::hint::black_box;

/// How the traces are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    OneThread,
    TwoThreads,
    /// Async, each child awaits something that is ready.
    Ready,
    /// Async, each child yields once.
    Yield,
    /// Each child first dirties 128 KiB, as real work does.
    Cold,
}

impl Mode {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::OneThread => "one-thread",
            Self::TwoThreads => "two-threads",
            Self::Ready => "async-ready",
            Self::Yield => "async-yield",
            Self::Cold => "cold",
        }
    }

    pub(crate) fn from_word(word: &str) -> Option<Self> {
        [Self::OneThread, Self::TwoThreads, Self::Ready, Self::Yield, Self::Cold]
            .into_iter()
            .find(|mode| mode.word() == word)
    }
}

/// A way to make spans.
pub(crate) struct Candidate {
    traces: fn(u64),
    async_traces: Option<fn(u64, bool)>,
    pub(crate) flush: fn(),
    /// Spans that its exporter must get for each trace; zero where it exports none or a share.
    pub(crate) spans_per_trace: u64,
}

impl Candidate {
    pub(crate) fn run(&self, mode: Mode, traces: u64) {
        match mode {
            Mode::OneThread | Mode::TwoThreads => (self.traces)(traces),
            Mode::Cold => {
                COLD.store(true, std::sync::atomic::Ordering::Relaxed);
                (self.traces)(traces);
            }
            Mode::Ready | Mode::Yield => {
                if let Some(run) = self.async_traces {
                    run(traces, mode == Mode::Yield);
                }
            }
        }
    }
}

static COLD: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

/// What every child does.
#[inline(always)]
fn body(value: i64) {
    if COLD.load(std::sync::atomic::Ordering::Relaxed) {
        dirty();
    }
    black_box(value);
}

#[inline(never)]
fn dirty() {
    thread_local! {
        static MEMORY: std::cell::RefCell<Vec<u8>> = std::cell::RefCell::new(vec![0; 128 << 10]);
    }
    MEMORY.with_borrow_mut(|memory| {
        memory.iter_mut().step_by(64).for_each(|byte| *byte = byte.wrapping_add(1));
    });
}

async fn wait(yields: bool) {
    if yields {
        tokio::task::yield_now().await;
    } else {
        std::future::ready(()).await;
    }
}

fn on_current_thread(future: impl Future<Output = ()>) {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime =
            tokio::runtime::Builder::new_current_thread().build().expect("a current_thread runtime needs no resources");
    }
    RUNTIME.with(|runtime| runtime.block_on(future));
}

/// Sets a candidate up in this process, which it then has for itself.
pub(crate) fn start(name: &str) -> Candidate {
    match name {
        "ours" => ours::default_mode(),
        "ours/leaf" => ours::leaf(),
        "ours/10%" => ours::sampled(),
        "ours/off" => ours::off(),
        "fastrace" => fastrace_spans::formatted(),
        "fastrace/static" => fastrace_spans::static_strings(),
        "fastrace/bare" => fastrace_spans::no_attributes(),
        "fastrace/off" => fastrace_spans::off(),
        "sdk" => sdk_spans::start(1.0),
        "sdk/10%" => sdk_spans::start(0.1),
        "tracing-opentelemetry" => tracing_spans::to_opentelemetry(),
        "tracing/registry" => tracing_spans::registry_only(),
        "tracing/off" => tracing_spans::off(),
        other => panic!("no candidate {other}"),
    }
}
