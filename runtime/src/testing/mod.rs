//! Help for tests.

#[cfg(test)]
pub(crate) mod samples;
