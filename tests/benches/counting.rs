//! An allocator that counts, for benches.
// A global allocator is an unsafe trait; this one passes every call on to the system's.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static COUNT: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
}

/// Allocations and bytes so far, on the calling thread.
pub(crate) fn on_this_thread() -> (u64, u64) {
    COUNT.with(Cell::get)
}

pub(crate) struct Counting;

// SAFETY: every call goes to `System` unchanged; counting touches a plain cell without a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| {
            let (allocations, bytes) = count.get();
            count.set((allocations + 1, bytes + layout.size() as u64));
        });
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise, passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        COUNT.with(|count| {
            let (allocations, bytes) = count.get();
            count.set((allocations + 1, bytes + new_size as u64));
        });
        // SAFETY: the caller's promise, passed on.
        unsafe { System.realloc(pointer, layout, new_size) }
    }
}
