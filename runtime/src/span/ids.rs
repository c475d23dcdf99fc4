//! Trace and span ids: xoshiro256++ per thread, as in the SDK, seeded by the operating system.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

/// The generator's state; all zero is "not seeded yet".
pub(super) type State = [u64; 4];

/// Seeds from the operating system's randomness, which `RandomState` reads once per thread.
#[cold]
pub(super) fn seed() -> State {
    // `| 1` keeps the state from being all zero, where the generator would stay for ever.
    std::array::from_fn(|lane| RandomState::new().hash_one(lane) | 1)
}

/// The next id. Never zero: zero is an invalid id in W3C Trace Context and in OpenTelemetry.
#[inline]
pub(super) fn next(state: &mut State) -> u64 {
    let [a, b, c, d] = *state;
    let result = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
    let (mut c, mut d) = (c ^ a, d ^ b);
    let (b_next, a_next) = (b ^ c, a ^ d);
    c ^= b << 17;
    d = d.rotate_left(45);
    *state = [a_next, b_next, c, d];
    if result == 0 { 1 } else { result }
}

#[cfg(test)]
mod tests {
    use super::{next, seed};

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

    #[test]
    fn follows_the_reference_implementation() {
        let mut ours = seed();
        let mut theirs = ours;
        for _ in 0..1_000 {
            assert_eq!(next(&mut ours), reference(&mut theirs).max(1));
        }
    }

    #[test]
    fn two_threads_have_different_ids() {
        let here = next(&mut seed());
        let there = std::thread::spawn(|| next(&mut seed())).join().unwrap();
        assert_ne!(here, there);
    }
}
