//! Where a pipeline's spans come from: the process's chunks, or, for a pipeline that touches no globals, a list.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread::Thread;

use opentelemetry_sdk::trace::SpanData;

use super::report::Dropped;
use super::size::span_bytes;
use crate::span::counters::{self, DropReason};
use crate::span::exchange::{self, Exchange, Reader, Writer};

#[derive(Debug)]
pub(super) enum Intake {
    /// Annotated functions, and the spans of the global provider.
    Global(&'static Exchange),
    /// Only the spans of the pipeline's own provider.
    Local(Box<LocalIntake>),
}

#[derive(Debug, Default)]
pub(super) struct LocalIntake {
    spans: Mutex<Vec<SpanData>>,
    bytes: AtomicUsize,
    max_bytes: usize,
    started: AtomicU64,
    ended: AtomicU64,
    queue_full: AtomicU64,
    too_large: AtomicU64,
    already_shutdown: AtomicU64,
    closed: AtomicBool,
    collector: OnceLock<Thread>,
}

impl LocalIntake {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self { max_bytes, ..Self::default() }
    }

    pub(super) fn count_started(&self) {
        self.started.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_ended(&self) {
        self.ended.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a span that is larger than one span may be.
    pub(super) fn too_large(&self) {
        self.count_ended();
        self.too_large.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn push(&self, span: SpanData) {
        self.count_ended();
        if self.closed.load(Ordering::Acquire) {
            self.already_shutdown.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let bytes = span_bytes(&span);
        let held = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if held > self.max_bytes {
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.queue_full.fetch_add(1, Ordering::Relaxed);
        } else {
            self.spans.lock().unwrap_or_else(PoisonError::into_inner).push(span);
        }
        if held > self.max_bytes / 4
            && let Some(collector) = self.collector.get()
        {
            collector.unpark();
        }
    }
}

impl Intake {
    pub(super) fn set_collector(&self, thread: Thread) {
        match self {
            Self::Global(exchange) => exchange.set_collector(thread),
            Self::Local(local) => {
                let _ = local.collector.set(thread);
            }
        }
    }

    pub(super) fn take_woken(&self) -> bool {
        match self {
            Self::Global(exchange) => exchange.take_woken(),
            Self::Local(_) => false,
        }
    }

    pub(super) fn take_sealed(&self) -> Vec<Writer> {
        match self {
            Self::Global(exchange) => exchange.take_sealed(),
            Self::Local(_) => Vec::new(),
        }
    }

    pub(super) fn take_opened(&self) -> Vec<Reader> {
        match self {
            Self::Global(exchange) => exchange.take_opened(),
            Self::Local(_) => Vec::new(),
        }
    }

    pub(super) fn give_back(&self, writer: Writer, reader: Reader) {
        if let Self::Global(exchange) = self {
            exchange.give_back(writer, reader);
        }
    }

    pub(super) fn heap_collected(&self, bytes: usize) {
        if let Self::Global(exchange) = self {
            exchange.heap_collected(bytes);
        }
    }

    pub(super) fn take_direct(&self) -> Vec<SpanData> {
        match self {
            Self::Global(_) => Vec::new(),
            Self::Local(local) => {
                let spans = std::mem::take(&mut *local.spans.lock().unwrap_or_else(PoisonError::into_inner));
                local.bytes.store(0, Ordering::Relaxed);
                spans
            }
        }
    }

    /// Spans that end from here on are refused.
    pub(super) fn close(&self) {
        match self {
            Self::Global(_) => exchange::close(),
            Self::Local(local) => local.closed.store(true, Ordering::Release),
        }
    }

    /// Spans started and ended, and those dropped on the way.
    pub(super) fn counts(&self) -> (u64, u64, Dropped) {
        let mut dropped = Dropped::default();
        match self {
            Self::Global(_) => {
                dropped.queue_full = counters::dropped_so_far(DropReason::QueueFull);
                dropped.too_large = counters::dropped_so_far(DropReason::TooLarge);
                dropped.already_shutdown = counters::dropped_so_far(DropReason::AlreadyShutdown);
                dropped.panic = counters::dropped_so_far(DropReason::Panic);
                dropped.thread_exit = counters::dropped_so_far(DropReason::ThreadExit);
                let (started, ended) = counters::totals();
                // A thread without its buffers has no counter either.
                (started, ended + dropped.thread_exit, dropped)
            }
            Self::Local(local) => {
                dropped.queue_full = local.queue_full.load(Ordering::Relaxed);
                dropped.too_large = local.too_large.load(Ordering::Relaxed);
                dropped.already_shutdown = local.already_shutdown.load(Ordering::Relaxed);
                (local.started.load(Ordering::Relaxed), local.ended.load(Ordering::Relaxed), dropped)
            }
        }
    }

    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Global(exchange) => exchange.bytes(),
            Self::Local(local) => local.bytes.load(Ordering::Relaxed),
        }
    }
}
