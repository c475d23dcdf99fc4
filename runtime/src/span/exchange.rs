//! The exchange: the way of ended spans from the thread that recorded them to the collector.
//!
//! A thread writes into a chunk of its own, so recording takes no lock and waits for nobody; the collector reads
//! what is committed while the chunk is open. A full chunk is handed over whole and comes back, empty, by a pool.
//! All chunks of the process live on one budget. When it is used up, spans are dropped and counted.

use std::cell::RefCell;
use std::mem::{self, ManuallyDrop};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread::Thread;

use super::chunk;
use super::counters::{self, DropReason};
use super::fork;
use super::message::Details;
use super::record::Entry;

/// Records of a chunk, unless the budget is small: about 30 KiB.
const FULL: usize = 256;
/// Records of a thread's first chunk, so that a thousand idle threads do not eat the budget.
const FIRST: usize = 32;
/// A chunk is at most this part of the budget.
const PART: usize = 8;

/// The reading end of a chunk, which the collector owns.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) id: usize,
    pub(crate) entries: chunk::Reader<Entry>,
    /// Read, and the record that it belongs to is not.
    pub(crate) details: Option<Details>,
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
    /// The chunk of threads for which no chunk of their own is left: others may keep theirs open, unused, for as
    /// long as they live.
    shared: Mutex<Option<Writer>>,
    /// Records that all chunks together have room for, the most there may be, and the most in chunks of one thread.
    capacity: AtomicUsize,
    max_capacity: usize,
    max_own: usize,
    /// Records of a chunk, and of a thread's first one.
    full: usize,
    first: usize,
    /// The details of a message may take a place of their own. Not where the bound is a number of spans.
    holds_details: bool,
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
    EXCHANGE.get_or_init(|| Exchange::new(max_bytes, max_spans))
}

/// Refuses entries from here on.
pub(crate) fn close() {
    CLOSED.store(true, Ordering::Release);
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Exchange {
    fn new(max_bytes: usize, max_spans: Option<usize>) -> Self {
        let by_bytes = max_bytes / 2 / size_of::<Entry>();
        let max_capacity = max_spans.map_or(by_bytes, |spans| spans.min(by_bytes)).max(1);
        let full = (max_capacity / PART).clamp(1, FULL);
        Self {
            opened: Mutex::default(),
            sealed: Mutex::default(),
            pool: Mutex::default(),
            shared: Mutex::default(),
            capacity: AtomicUsize::new(0),
            max_capacity,
            // Two chunks, so that threads go on while the collector reads one.
            max_own: max_capacity.saturating_sub(2 * full),
            full,
            first: full.min(FIRST),
            holds_details: max_spans.is_none() && full >= 2,
            heap: AtomicUsize::new(0),
            max_heap: max_bytes / 2,
            next_id: AtomicUsize::new(0),
            collector: OnceLock::new(),
            woken: AtomicBool::new(false),
        }
    }

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

    /// Chunks to drain and give back. Taken before the opened ones are, and drained after: a chunk may have been
    /// opened and filled since the last look.
    pub(crate) fn take_sealed(&self) -> Vec<Writer> {
        mem::take(&mut *lock(&self.sealed))
    }

    pub(crate) fn take_opened(&self) -> Vec<Reader> {
        mem::take(&mut *lock(&self.opened))
    }

    /// Takes an emptied chunk back. First chunks are small and are not kept, nor is what threads may not own.
    pub(crate) fn give_back(&self, writer: Writer, reader: Reader) {
        let (id, records) = (writer.id, writer.entries.capacity());
        match chunk::reuse(writer.entries, reader.entries) {
            Some((writer, reader))
                if records == self.full && self.capacity.load(Ordering::Relaxed) <= self.max_own =>
            {
                let reader = Reader { id, entries: reader, details: None };
                lock(&self.pool).push((Writer { id, entries: writer }, reader));
            }
            _ => {
                self.capacity.fetch_sub(records, Ordering::Relaxed);
            }
        }
    }

    pub(crate) fn heap_collected(&self, bytes: usize) {
        if bytes > 0 {
            self.heap.fetch_sub(bytes, Ordering::Relaxed);
        }
    }

    /// Bytes held by chunks and by what their records own.
    pub(crate) fn bytes(&self) -> usize {
        self.capacity.load(Ordering::Relaxed) * size_of::<Entry>() + self.heap.load(Ordering::Relaxed)
    }

    /// A chunk for one thread.
    fn own_chunk(&self, is_first: bool) -> Option<Writer> {
        if is_first {
            return self.new_chunk(self.first, self.max_own).or_else(|| self.pooled());
        }
        self.pooled().or_else(|| self.new_chunk(self.full, self.max_own))
    }

    fn pooled(&self) -> Option<Writer> {
        let (writer, reader) = lock(&self.pool).pop()?;
        lock(&self.opened).push(reader);
        Some(writer)
    }

    /// `most` is what all chunks together may have room for.
    fn new_chunk(&self, records: usize, most: usize) -> Option<Writer> {
        let before = self.capacity.fetch_add(records, Ordering::Relaxed);
        if before + records > most {
            self.capacity.fetch_sub(records, Ordering::Relaxed);
            return None;
        }
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (writer, reader) = chunk::chunk(records);
        lock(&self.opened).push(Reader { id, entries: reader, details: None });
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
        if sealed * self.full * 4 >= self.max_capacity {
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
    /// The thread has ended, as far as recording goes.
    ended: bool,
}

/// Hands the chunk over when the thread ends.
struct ThreadEnd;

impl Drop for ThreadEnd {
    fn drop(&mut self) {
        super::local::thread_ends();
        let writer = CHUNK.with(|chunk| {
            let mut chunk = chunk.try_borrow_mut().ok()?;
            chunk.ended = true;
            chunk.writer.take()
        });
        if !fork::is_child()
            && let (Some(exchange), Some(writer)) = (EXCHANGE.get(), writer)
        {
            exchange.seal(writer);
        }
    }
}

thread_local! {
    /// Has no destructor, so that whoever looks at it need not ask whether it ran: `END` does what it would.
    static CHUNK: RefCell<ManuallyDrop<ThreadChunk>> =
        const { RefCell::new(ManuallyDrop::new(ThreadChunk { writer: None, begun: false, ended: false })) };
    static END: ThreadEnd = const { ThreadEnd };
}

/// Has this thread's chunk handed over when the thread ends.
pub(super) fn register_thread() {
    let _ = END.try_with(|_| ());
}

/// Hands over an entry that owns nothing on the heap, and leaves nothing in its place. `finish` completes it.
#[inline]
pub(super) fn push(entry: &mut Entry, finish: impl Fn(&mut Entry)) {
    let pushed = CHUNK.with(|chunk| {
        let Ok(mut chunk) = chunk.try_borrow_mut() else { return false };
        match &mut chunk.writer {
            Some(writer) if !CLOSED.load(Ordering::Relaxed) => {
                writer.entries.push_with(entry, Entry::Nothing, &finish)
            }
            _ => false,
        }
    });
    if pushed {
        return;
    }
    finish(entry);
    if let Some(reason) = push_with_heap(entry, 0) {
        counters::dropped(reason, 1);
    }
}

/// Hands over the record of a message's span, which owns this much on the heap, and before it the details, and leaves
/// nothing in its place; or drops it and says why.
#[inline]
pub(super) fn push_message(details: Details, entry: &mut Entry, heap_bytes: usize) -> Option<DropReason> {
    let pushed = heap_bytes == 0
        && EXCHANGE.get().is_some_and(|exchange| exchange.holds_details)
        && !CLOSED.load(Ordering::Relaxed)
        && CHUNK.with(|chunk| {
            let Ok(mut chunk) = chunk.try_borrow_mut() else { return false };
            chunk.writer.as_mut().is_some_and(|writer| writer.push(Some(&details), entry))
        });
    if pushed { None } else { push_rare(Some(details), entry, heap_bytes) }
}

/// Hands over an entry that owns this much on the heap, and leaves nothing in its place; or drops it and says why.
pub(super) fn push_with_heap(entry: &mut Entry, heap_bytes: usize) -> Option<DropReason> {
    push_rare(None, entry, heap_bytes)
}

#[inline(never)]
fn push_rare(mut details: Option<Details>, entry: &mut Entry, mut heap_bytes: usize) -> Option<DropReason> {
    let mut entry = mem::replace(entry, Entry::Nothing);
    let exchange = EXCHANGE.get()?;
    if !exchange.holds_details
        && let (Some(kept), Entry::Span(record)) = (details.take(), &mut entry)
    {
        record.side().details = Some(kept);
        heap_bytes = record.heap_bytes();
    }
    if CLOSED.load(Ordering::Relaxed) {
        return Some(DropReason::AlreadyShutdown);
    }
    if heap_bytes != 0 && !exchange.reserve_heap(heap_bytes) {
        return Some(DropReason::QueueFull);
    }
    let refused = CHUNK.with(|chunk| match chunk.try_borrow_mut() {
        Ok(chunk) if chunk.ended => Some(DropReason::ThreadExit),
        Ok(mut chunk) => chunk.push(exchange, details.as_ref(), &mut entry),
        Err(_) => Some(DropReason::QueueFull),
    });
    if refused.is_some() {
        exchange.heap.fetch_sub(heap_bytes, Ordering::Relaxed);
    }
    refused
}

impl ThreadChunk {
    /// Writes the entry, and the details that belong to it before it, into a new chunk if this one is full.
    fn push(
        &mut self,
        exchange: &Exchange,
        details: Option<&Details>,
        entry: &mut Entry,
    ) -> Option<DropReason> {
        let is_first = !self.begun;
        if exchange.write(&mut self.writer, details, entry, || exchange.own_chunk(is_first)) {
            self.begun = true;
            return None;
        }
        let shared = || exchange.new_chunk(exchange.full, exchange.max_capacity);
        if exchange.write(&mut lock(&exchange.shared), details, entry, shared) {
            return None;
        }
        exchange.wake();
        Some(DropReason::QueueFull)
    }
}

impl Writer {
    /// Writes both, or neither if there is no room for both. They need not become visible at once: the reader keeps the
    /// first until it has the second.
    #[inline(always)]
    fn push(&mut self, details: Option<&Details>, entry: &mut Entry) -> bool {
        if let Some(details) = details {
            if self.entries.room() < 2 {
                return false;
            }
            self.entries.push(&mut Entry::Message(*details), Entry::Nothing);
        }
        self.entries.push(entry, Entry::Nothing)
    }
}

impl Exchange {
    /// Writes the entry, into a new chunk if there is none or it is full. False, and the entry stays, without one.
    fn write(
        &self,
        place: &mut Option<Writer>,
        details: Option<&Details>,
        entry: &mut Entry,
        next: impl FnOnce() -> Option<Writer>,
    ) -> bool {
        if place.as_mut().is_some_and(|writer| writer.push(details, entry)) {
            return true;
        }
        if let Some(full) = place.take() {
            self.seal(full);
        }
        *place = next();
        place.as_mut().is_some_and(|writer| writer.push(details, entry))
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

    use super::*;

    fn write(exchange: &Exchange, thread: &mut ThreadChunk) -> bool {
        thread.push(exchange, None, &mut Entry::Nothing).is_none()
    }

    fn thread() -> ThreadChunk {
        ThreadChunk { writer: None, begun: false, ended: false }
    }

    /// Reads everything, as the collector does.
    fn collect(exchange: &Exchange, readers: &mut Vec<Reader>) -> usize {
        let sealed = exchange.take_sealed();
        readers.extend(exchange.take_opened());
        let mut read = 0;
        for reader in readers.iter_mut() {
            while reader.entries.pop().is_some() {
                read += 1;
            }
        }
        for writer in sealed {
            let at = readers.iter().position(|reader| reader.id == writer.id).unwrap();
            exchange.give_back(writer, readers.swap_remove(at));
        }
        read
    }

    fn poison<T>(mutex: &Mutex<T>) {
        let poisoned = catch_unwind(AssertUnwindSafe(|| {
            let _held = mutex.lock().unwrap();
            resume_unwind(Box::new(()));
        }));
        assert!(poisoned.is_err() && mutex.is_poisoned());
    }

    #[test]
    fn poisoned_locks_lose_nothing() {
        let exchange = Exchange::new(1 << 20, None);
        poison(&exchange.opened);
        poison(&exchange.sealed);
        poison(&exchange.pool);
        poison(&exchange.shared);
        let (mut threads, mut readers) = (vec![thread(), thread()], Vec::new());
        for _ in 0..10 {
            let written =
                threads.iter_mut().map(|thread| (0..300).filter(|_| write(&exchange, thread)).count());
            assert_eq!(written.sum::<usize>(), 600);
            assert_eq!(collect(&exchange, &mut readers), 600);
        }
        threads.into_iter().for_each(|mut thread| drop(thread.writer.take()));
    }

    #[test]
    fn room_never_exceeds_the_bound_however_many_threads_there_are() {
        for bound in [1, 2, 7, 31, 100, 2_048] {
            let exchange = Exchange::new(1 << 20, Some(bound));
            let (mut threads, mut readers) = (Vec::new(), Vec::new());
            for round in 0..50 {
                threads.push(thread());
                let mut written = 0;
                for thread in &mut threads {
                    written += (0..40).filter(|_| write(&exchange, thread)).count();
                }
                assert!(exchange.capacity.load(Ordering::Relaxed) <= bound, "{bound}, round {round}");
                assert!(written <= bound, "{bound}, round {round}: {written}");
                assert_eq!(collect(&exchange, &mut readers), written, "{bound}, round {round}");
                // Whatever the others hold, the next thread gets a place.
                let mut newcomer = thread();
                assert!(write(&exchange, &mut newcomer), "{bound}, round {round}");
                assert_eq!(collect(&exchange, &mut readers), 1);
                threads.push(newcomer);
            }
            threads.into_iter().for_each(|mut thread| drop(thread.writer.take()));
        }
    }
}
