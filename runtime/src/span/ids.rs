//! Trace and span ids: xoshiro256++ per thread, as in the SDK, seeded by the operating system.

use std::cell::Cell;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

/// The generator's state.
pub(super) type State = [Cell<u64>; 4];

/// Seeds from the operating system's randomness, which `RandomState` reads once per thread.
#[cold]
pub(super) fn seed(state: &State) {
    for (lane, word) in state.iter().enumerate() {
        // `| 1` keeps the state from being all zero, where the generator would stay for ever.
        word.set(RandomState::new().hash_one(lane) | 1);
    }
}

/// The next id. Never zero: zero is an invalid id in W3C Trace Context and in OpenTelemetry.
#[inline(always)]
pub(super) fn next([a, b, c, d]: &State) -> u64 {
    let (s0, s1, s2, s3) = (a.get(), b.get(), c.get(), d.get());
    let result = s0.wrapping_add(s3).rotate_left(23).wrapping_add(s0);
    let (t2, t3) = (s2 ^ s0, s3 ^ s1);
    a.set(s0 ^ t3);
    b.set(s1 ^ t2);
    c.set(t2 ^ (s1 << 17));
    d.set(t3.rotate_left(45));
    result.max(1)
}

#[cfg(test)]
mod tests {
    use super::{State, next, seed};

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

    fn seeded() -> State {
        let state = State::default();
        seed(&state);
        state
    }

    #[test]
    fn follows_the_reference_implementation() {
        let ours = seeded();
        let mut theirs = ours.clone().map(|word| word.get());
        for _ in 0..1_000 {
            assert_eq!(next(&ours), reference(&mut theirs).max(1));
        }
    }

    #[test]
    fn two_threads_have_different_ids() {
        let here = next(&seeded());
        let there = std::thread::spawn(|| next(&seeded())).join().unwrap();
        assert_ne!(here, there);
    }
}
