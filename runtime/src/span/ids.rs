//! Trace and span ids, from two generators per thread, seeded by the operating system.
//!
//! Trace ids come from xoshiro256++, as in the SDK: two of its numbers make an id, so its state must be wider than an
//! id. Span ids come from SplitMix64, at half the cost: an id has to be unique in its trace only; those of a thread
//! are all different until 2^64 were made, and two threads begin at random places of that sequence.

use std::cell::Cell;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::process;
use std::time::Instant;

use opentelemetry::trace::{SpanId, TraceId};
use opentelemetry_sdk::trace::IdGenerator;

use super::found::trace_id;
use super::local;

/// The generators' state.
#[derive(Debug)]
pub(super) struct Ids {
    // One cell a word, which stay in registers; an array in a cell is copied as a whole.
    trace: [Cell<u64>; 4],
    span: Cell<u64>,
}

impl Ids {
    pub(super) const fn new() -> Self {
        Self { trace: [const { Cell::new(0) }; 4], span: Cell::new(0) }
    }

    /// Seeds from the operating system's randomness, which `RandomState` reads once per thread: in a forked child it
    /// goes on with the parent's, and time and process make the difference.
    #[cold]
    pub(super) fn seed(&self) {
        let now = Instant::now();
        for (lane, word) in self.trace.iter().chain([&self.span]).enumerate() {
            // `| 1` keeps the state from being all zero, where the generator would stay for ever.
            word.set(RandomState::new().hash_one((lane, now, process::id())) | 1);
        }
    }

    /// Itself, seeded if this thread has made no id yet.
    fn seeded(&self) -> &Self {
        if self.trace.iter().all(|word| word.get() == 0) {
            self.seed();
        }
        self
    }

    /// The next trace id, the higher word first. Never zero, which is invalid.
    #[inline]
    pub(super) fn next_trace(&self) -> [u64; 2] {
        [xoshiro(&self.trace), xoshiro(&self.trace)]
    }

    /// The next span id, by SplitMix64. Never zero, which is invalid.
    #[inline(always)]
    pub(super) fn next_span(&self) -> u64 {
        let count = self.span.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.span.set(count);
        let mut mixed = (count ^ (count >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)).max(1)
    }
}

/// xoshiro256++; zero is passed over.
fn xoshiro([a, b, c, d]: &[Cell<u64>; 4]) -> u64 {
    let (s0, s1, s2, s3) = (a.get(), b.get(), c.get(), d.get());
    let result = s0.wrapping_add(s3).rotate_left(23).wrapping_add(s0);
    let (t2, t3) = (s2 ^ s0, s3 ^ s1);
    a.set(s0 ^ t3);
    b.set(s1 ^ t2);
    c.set(t2 ^ (s1 << 17));
    d.set(t3.rotate_left(45));
    result.max(1)
}

/// The same ids for spans of the SDK, which would hand out the parent's in a forked child.
#[derive(Debug)]
pub(crate) struct Generator;

impl IdGenerator for Generator {
    fn new_trace_id(&self) -> TraceId {
        trace_id(local::with(|local| local.ids.seeded().next_trace()))
    }

    fn new_span_id(&self) -> SpanId {
        SpanId::from(local::with(|local| local.ids.seeded().next_span()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reference implementation, as its authors publish it.
    fn reference(s: &mut [u64; 4]) -> u64 {
        let result = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        result
    }

    fn seeded() -> Ids {
        let ids = Ids::new();
        ids.seed();
        ids
    }

    #[test]
    fn trace_ids_follow_the_reference_implementation() {
        let ours = seeded();
        let mut theirs = ours.trace.each_ref().map(Cell::get);
        for _ in 0..1_000 {
            assert_eq!(ours.next_trace(), [reference(&mut theirs).max(1), reference(&mut theirs).max(1)]);
        }
    }

    #[test]
    fn span_ids_follow_the_reference_implementation() {
        let ids = Ids::new();
        // The first numbers of the published generator, from a state of zero.
        let expected = [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4, 0x06c4_5d18_8009_454f];
        assert_eq!(expected.map(|_| ids.next_span()), expected);
    }

    #[test]
    fn a_million_span_ids_are_different() {
        let ids = seeded();
        let seen: std::collections::HashSet<u64> = (0..1_000_000).map(|_| ids.next_span()).collect();
        assert_eq!(seen.len(), 1_000_000);
    }

    #[test]
    fn every_bit_of_a_span_id_is_set_half_of_the_time() {
        let ids = seeded();
        let mut set = [0_u32; 64];
        for _ in 0..100_000 {
            let id = ids.next_span();
            set.iter_mut().enumerate().for_each(|(bit, count)| *count += u32::from(id >> bit & 1 == 1));
        }
        // Six standard deviations: once in half a billion runs by chance, per bit.
        assert!(set.iter().all(|count| count.abs_diff(50_000) < 950), "{set:?}");
    }

    #[test]
    fn two_threads_have_different_ids() {
        let take = || {
            let ids = seeded();
            (ids.next_trace(), ids.next_span())
        };
        let here = take();
        let there = std::thread::spawn(take).join().unwrap();
        assert_ne!(here.0, there.0);
        assert_ne!(here.1, there.1);
    }
}
