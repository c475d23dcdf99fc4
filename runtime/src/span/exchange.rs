//! The exchange: the way of ended spans from the thread that recorded them to the collector.
//!
//! A thread writes into a chunk of its own, so recording takes no lock and waits for nobody; the collector reads
//! what is committed while the chunk is open. A full chunk is handed over whole and comes back, empty, by a pool.
//! All chunks of the process live on one budget. When it is used up, spans are dropped and counted.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread::Thread;

use super::chunk;
use super::counters::{self, DropReason};
use super::record::Entry;

/// Records of a chunk: about 30 KiB.
const FULL: usize = 256;
/// Records of a thread's first chunk, so that a thousand idle threads do not eat the budget.
const FIRST: usize = 32;

/// The reading end of a chunk, which the collector owns.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) id: usize,
    pub(crate) entries: chunk::Reader<Entry>,
}

/// The writing end, which a thread owns until it is full.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) id: usize,
    entries: chunk::Writer<Entry>,
}

/// Where threads and collector meet. Every lock in here is held for a push or a swap, never over user code.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// Readers of chunks that threads have begun since the collector last looked.
    opened: Mutex<Vec<Reader>>,
    /// Writers of chunks that are full, or whose thread has ended.
    sealed: Mutex<Vec<Writer>>,
    pool: Mutex<Vec<(Writer, Reader)>>,
    /// Records that all chunks together have room for, and the most there may be.
    capacity: AtomicUsize,
    max_capacity: usize,
    /// Bytes on the heap owned by records not collected yet, and the most there may be.
    heap: AtomicUsize,
    max_heap: usize,
    next_id: AtomicUsize,
    collector: OnceLock<Thread>,
    woken: AtomicBool,
}

static EXCHANGE: OnceLock<Exchange> = OnceLock::new();
/// After shutdown: nobody reads any more.
static CLOSED: AtomicBool = AtomicBool::new(false);

/// Makes the process's exchange. `max_bytes` bounds records and what they own, each by half; `max_spans` bounds by
/// count as well.
pub(crate) fn install(max_bytes: usize, max_spans: Option<usize>) -> &'static Exchange {
    EXCHANGE.get_or_init(|| {
        let by_bytes = max_bytes / 2 / size_of::<Entry>();
        Exchange {
            opened: Mutex::default(),
            sealed: Mutex::default(),
            pool: Mutex::default(),
            capacity: AtomicUsize::new(0),
            max_capacity: max_spans.map_or(by_bytes, |spans| spans.min(by_bytes)).max(FIRST),
            heap: AtomicUsize::new(0),
            max_heap: max_bytes / 2,
            next_id: AtomicUsize::new(0),
            collector: OnceLock::new(),
            woken: AtomicBool::new(false),
        }
    })
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Exchange {
    pub(crate) fn set_collector(&self, thread: Thread) {
        let _ = self.collector.set(thread);
    }

    #[cold]
    pub(crate) fn wake(&self) {
        if !self.woken.swap(true, Ordering::AcqRel)
            && let Some(thread) = self.collector.get()
        {
            thread.unpark();
        }
    }

    pub(crate) fn take_woken(&self) -> bool {
        self.woken.swap(false, Ordering::AcqRel)
    }

    /// Refuses entries from here on.
    pub(crate) fn close(&self) {
        CLOSED.store(true, Ordering::Release);
    }

    /// Chunks to drain and give back. Taken before the opened ones are, and drained after: a chunk may have been
    /// opened and filled since the last look.
    pub(crate) fn take_sealed(&self) -> Vec<Writer> {
        std::mem::take(&mut *lock(&self.sealed))
    }

    pub(crate) fn take_opened(&self) -> Vec<Reader> {
        std::mem::take(&mut *lock(&self.opened))
    }

    /// Takes an emptied chunk back. First chunks are small and are not kept.
    pub(crate) fn give_back(&self, writer: Writer, reader: Reader) {
        let (id, records) = (writer.id, writer.entries.capacity());
        match chunk::reuse(writer.entries, reader.entries) {
            Some((writer, reader)) if records == FULL => {
                lock(&self.pool).push((Writer { id, entries: writer }, Reader { id, entries: reader }));
            }
            _ => {
                self.capacity.fetch_sub(records, Ordering::Relaxed);
            }
        }
    }

    pub(crate) fn heap_collected(&self, bytes: usize) {
        self.heap.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Bytes held by chunks and by what their records own.
    pub(crate) fn bytes(&self) -> usize {
        self.capacity.load(Ordering::Relaxed) * size_of::<Entry>() + self.heap.load(Ordering::Relaxed)
    }

    fn new_chunk(&self, records: usize) -> Option<Writer> {
        if records == FULL
            && let Some((writer, reader)) = lock(&self.pool).pop()
        {
            lock(&self.opened).push(reader);
            return Some(writer);
        }
        let before = self.capacity.fetch_add(records, Ordering::Relaxed);
        if before + records > self.max_capacity {
            self.capacity.fetch_sub(records, Ordering::Relaxed);
            return None;
        }
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (writer, reader) = chunk::chunk(records);
        lock(&self.opened).push(Reader { id, entries: reader });
        Some(Writer { id, entries: writer })
    }

    fn seal(&self, writer: Writer) {
        let sealed = {
            let mut sealed = lock(&self.sealed);
            sealed.push(writer);
            sealed.len()
        };
        // A quarter of the budget waits: that is what the collector is woken for. Earlier would be a system call
        // per chunk, later would leave it too little time.
        if sealed * FULL * 4 >= self.max_capacity {
            self.wake();
        }
    }

    /// Counts what a record owns. A record that does not fit is not taken.
    fn reserve_heap(&self, bytes: usize) -> bool {
        let before = self.heap.fetch_add(bytes, Ordering::Relaxed);
        if before + bytes > self.max_heap {
            self.heap.fetch_sub(bytes, Ordering::Relaxed);
            self.wake();
            return false;
        }
        true
    }
}

/// This thread's end of the exchange.
struct ThreadChunk {
    writer: Option<Writer>,
    begun: bool,
}

impl Drop for ThreadChunk {
    fn drop(&mut self) {
        super::local::thread_ends();
        if let (Some(exchange), Some(writer)) = (EXCHANGE.get(), self.writer.take()) {
            exchange.seal(writer);
        }
    }
}

thread_local! {
    static CHUNK: RefCell<ThreadChunk> = const { RefCell::new(ThreadChunk { writer: None, begun: false }) };
}

/// Makes sure that this thread's chunk is torn down before OpenTelemetry's thread-local context is: destructors run
/// in the opposite order of first use.
pub(super) fn register_thread() {
    let _ = CHUNK.try_with(|_| ());
}

/// Hands over an entry that owns nothing on the heap, and leaves nothing in its place.
#[inline]
pub(super) fn push(entry: &mut Entry) {
    let pushed = CHUNK.try_with(|chunk| {
        let Ok(mut chunk) = chunk.try_borrow_mut() else { return false };
        match &mut chunk.writer {
            Some(writer) if !CLOSED.load(Ordering::Relaxed) => writer.entries.push(entry, Entry::Nothing),
            _ => false,
        }
    });
    if !matches!(pushed, Ok(true)) {
        push_with_heap(entry, 0);
    }
}

/// Hands over an entry that owns this much on the heap, and leaves nothing in its place. What is refused is dropped
/// and counted.
#[inline(never)]
pub(super) fn push_with_heap(entry: &mut Entry, heap_bytes: usize) {
    let mut entry = std::mem::replace(entry, Entry::Nothing);
    let Some(exchange) = EXCHANGE.get() else { return };
    if CLOSED.load(Ordering::Relaxed) {
        counters::dropped(DropReason::AlreadyShutdown, 1);
        return;
    }
    if heap_bytes != 0 && !exchange.reserve_heap(heap_bytes) {
        counters::dropped(DropReason::QueueFull, 1);
        return;
    }
    let refused = CHUNK.try_with(|chunk| match chunk.try_borrow_mut() {
        Ok(mut chunk) => chunk.push(exchange, &mut entry),
        Err(_) => Some(DropReason::QueueFull),
    });
    if let Some(reason) = refused.unwrap_or(Some(DropReason::ThreadExit)) {
        exchange.heap.fetch_sub(heap_bytes, Ordering::Relaxed);
        counters::dropped(reason, 1);
    }
}

impl ThreadChunk {
    /// Writes the entry, into a new chunk if this one is full.
    fn push(&mut self, exchange: &Exchange, entry: &mut Entry) -> Option<DropReason> {
        if self.writer.as_mut().is_some_and(|writer| writer.entries.push(entry, Entry::Nothing)) {
            return None;
        }
        if let Some(full) = self.writer.take() {
            exchange.seal(full);
        }
        self.writer = exchange.new_chunk(if self.begun { FULL } else { FIRST });
        match &mut self.writer {
            Some(writer) => {
                self.begun = true;
                (!writer.entries.push(entry, Entry::Nothing)).then_some(DropReason::QueueFull)
            }
            None => {
                exchange.wake();
                Some(DropReason::QueueFull)
            }
        }
    }
}
