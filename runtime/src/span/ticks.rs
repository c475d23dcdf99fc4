//! The processor's tick counter, read in line.
//!
//! `quanta` reads the same register, by way of a call and a look at which clock it is.

// The instruction has no safe name.
#![allow(unsafe_code)]

/// Reads the counter.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(super) fn read() -> u64 {
    // SAFETY: `rdtsc` reads a register that every x86-64 processor has. It touches no memory.
    unsafe { std::arch::x86_64::_rdtsc() }
}

/// Reads the counter; zero before it is calibrated.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
pub(super) fn read() -> u64 {
    super::clock::counter().map_or(0, quanta::Clock::raw)
}
