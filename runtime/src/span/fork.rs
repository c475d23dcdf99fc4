//! Fork: a child process has one thread, no collector, no exporters, and locks that nobody will ever release.
//!
//! So the child records nothing, touches none of these locks, and says so in `health()`. It has ids of its own: what
//! others' spans and messages get there must not be what the parent hands out next.

// The one way to hear of a fork is a call to the C library. Asking for the process id instead is a system call, at each
// start of a span. The handler stores to atomics and to plain cells of the thread that forked.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicBool, Ordering};

static IS_CHILD: AtomicBool = AtomicBool::new(false);

/// Whether this process was forked from one that had a pipeline.
#[inline]
pub(crate) fn is_child() -> bool {
    IS_CHILD.load(Ordering::Relaxed)
}

/// Has each child of this process know that it is one, from here on.
#[cfg(unix)]
pub(crate) fn watch() {
    static WATCHED: std::sync::Once = std::sync::Once::new();
    // SAFETY: the handler is a function that lives for ever, and does not unwind. Without memory for its registration
    // the C library refuses, and a child is as without this file.
    WATCHED.call_once(|| unsafe {
        libc::pthread_atfork(None, None, Some(in_child));
    });
}

#[cfg(not(unix))]
pub(crate) fn watch() {}

#[cfg(unix)]
extern "C" fn in_child() {
    IS_CHILD.store(true, Ordering::Relaxed);
    super::sampler::switch_off();
    super::exchange::close();
    super::local::with(|local| local.ids.seed());
}
