//! Lints are quiet about generated code and loud about the user's. The compiler and clippy are the judges: this has to
//! build under both (`.ci/run` does so), and an expectation that is not met is an error, too.
#![deny(warnings, clippy::all, clippy::pedantic, clippy::nursery)]
#![deny(unused_results, unused_lifetimes, single_use_lifetimes, elided_lifetimes_in_paths, trivial_casts)]
#![allow(clippy::redundant_pub_crate, reason = "contradicts `unreachable_pub`, which the workspace has on")]
#![forbid(unsafe_code)]

mod loud;
mod messages;
mod quiet;

#[test]
fn this_file_compiles() {
    quiet::call_all();
    messages::call_all();
    loud::call_all();
}
