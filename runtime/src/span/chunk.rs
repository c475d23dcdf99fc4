//! A chunk: entries that one thread writes and the collector reads, while the thread goes on writing.
//!
//! Each place is written once and read once; a chunk that is full and read is used again as a whole. So writing is a
//! comparison, a copy and a store, where a ring must keep two ends apart.
//!
//! This file is complete in itself: `tests/chunk` builds it alone, under loom and under the sanitizers.

// A place is shared between two threads without a lock: the writer owns it before `committed` passes it, the reader
// after. No safe type says that without a check per place, which would double the cost of a span's end.
#![allow(unsafe_code)]

use std::mem::MaybeUninit;

#[cfg(loom)]
use loom::{
    cell::UnsafeCell,
    sync::Arc,
    sync::atomic::{AtomicUsize, Ordering},
};
#[cfg(not(loom))]
use std::{
    sync::Arc,
    sync::atomic::{AtomicUsize, Ordering},
};

/// `loom`'s cell, which watches accesses, has this interface; the standard library's has not.
#[cfg(not(loom))]
#[derive(Debug)]
struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

#[cfg(not(loom))]
impl<T> UnsafeCell<T> {
    fn new(value: T) -> Self {
        Self(std::cell::UnsafeCell::new(value))
    }

    #[inline(always)]
    fn with_mut<R>(&self, access: impl FnOnce(*mut T) -> R) -> R {
        access(self.0.get())
    }
}

#[derive(Debug)]
struct Chunk<T> {
    /// Places below this are written. Only the writer changes it.
    committed: AtomicUsize,
    /// Places below this are read. Only the reader changes it.
    read: AtomicUsize,
    places: Box<[UnsafeCell<MaybeUninit<T>>]>,
}

// SAFETY: the writer touches only places at or above `committed`, the reader only places below it that it has not
// read, and `committed` is raised after the write with Release and looked at before the read with Acquire. So no
// place is touched by two threads at once, and what moves between threads is `Send`.
unsafe impl<T: Send> Sync for Chunk<T> {}
// SAFETY: the entries are all that it owns.
unsafe impl<T: Send> Send for Chunk<T> {}

impl<T> Drop for Chunk<T> {
    fn drop(&mut self) {
        let (read, committed) = (self.read.load(Ordering::Relaxed), self.committed.load(Ordering::Relaxed));
        for place in self.places.iter().take(committed).skip(read) {
            // SAFETY: written and not read; nobody else has the chunk any more.
            place.with_mut(|entry| unsafe { (*entry).assume_init_drop() });
        }
    }
}

/// The end that one thread writes to.
#[derive(Debug)]
pub(crate) struct Writer<T> {
    chunk: Arc<Chunk<T>>,
    next: usize,
}

/// The end that the collector reads.
#[derive(Debug)]
pub(crate) struct Reader<T> {
    chunk: Arc<Chunk<T>>,
}

/// A chunk with room for this many entries.
pub(crate) fn chunk<T>(entries: usize) -> (Writer<T>, Reader<T>) {
    let places = (0..entries).map(|_| UnsafeCell::new(MaybeUninit::uninit())).collect();
    let chunk = Arc::new(Chunk { committed: AtomicUsize::new(0), read: AtomicUsize::new(0), places });
    (Writer { chunk: Arc::clone(&chunk), next: 0 }, Reader { chunk })
}

/// Makes a chunk empty again. `None` if the two are not ends of one chunk, or something in it is unread.
pub(crate) fn reuse<T>(mut writer: Writer<T>, reader: Reader<T>) -> Option<(Writer<T>, Reader<T>)> {
    let chunk = &writer.chunk;
    if !Arc::ptr_eq(chunk, &reader.chunk) || chunk.read.load(Ordering::Relaxed) != writer.next {
        return None;
    }
    // Both ends are here, so no other thread looks.
    chunk.read.store(0, Ordering::Relaxed);
    chunk.committed.store(0, Ordering::Relaxed);
    writer.next = 0;
    Some((writer, reader))
}

impl<T> Writer<T> {
    /// Places, written or not.
    pub(crate) fn capacity(&self) -> usize {
        self.chunk.places.len()
    }

    /// Places that are not written yet.
    #[inline(always)]
    pub(crate) fn room(&self) -> usize {
        self.chunk.places.len() - self.next
    }

    /// Moves the entry into the chunk and leaves `rest` in its place. False, and nothing is moved, if it is full.
    ///
    /// By reference, because a value that passes through a return or a closure is copied on its way.
    #[inline(always)]
    pub(crate) fn push(&mut self, entry: &mut T, rest: T) -> bool {
        self.push_with(entry, rest, |_| ())
    }

    /// The same, and then has `finish` change the entry where it is now, before the reader sees it.
    #[inline(always)]
    pub(crate) fn push_with(&mut self, entry: &mut T, rest: T, finish: impl FnOnce(&mut T)) -> bool {
        let (chunk, next) = (&*self.chunk, self.next);
        let Some(place) = chunk.places.get(next) else { return false };
        // SAFETY: `next` is `committed`: the place is not written, the reader does not look at it. The entry is read
        // once, and overwritten without being dropped. A panic in `finish` leaves the place uncommitted: the entry is
        // lost and never dropped, the place is written again.
        place.with_mut(|place| unsafe {
            std::ptr::copy_nonoverlapping(entry, (*place).as_mut_ptr(), 1);
            std::ptr::write(entry, rest);
            finish((*place).assume_init_mut());
        });
        self.next = next + 1;
        chunk.committed.store(next + 1, Ordering::Release);
        true
    }
}

impl<T> Reader<T> {
    /// Entries written and not read.
    pub(crate) fn waiting(&self) -> usize {
        self.chunk.committed.load(Ordering::Acquire) - self.chunk.read.load(Ordering::Relaxed)
    }

    /// The oldest entry not read.
    pub(crate) fn pop(&mut self) -> Option<T> {
        let next = self.chunk.read.load(Ordering::Relaxed);
        if next >= self.chunk.committed.load(Ordering::Acquire) {
            return None;
        }
        let place = self.chunk.places.get(next)?;
        // SAFETY: below `committed`, so it is written; at `read`, so nobody has taken it. There is one reader.
        let entry = place.with_mut(|place| unsafe { (*place).assume_init_read() });
        self.chunk.read.store(next + 1, Ordering::Relaxed);
        Some(entry)
    }
}
