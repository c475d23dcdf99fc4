//! What the programs of this package share.

pub mod broker;

use std::fmt::Display;
use std::io::{self, Write as _};

/// Prints a line on standard output.
///
/// Unlike `println!` it does not panic when nobody reads any more, as in `planning | head -1`.
pub fn say(line: impl Display) {
    let _ = writeln!(io::stdout().lock(), "{line}");
}

/// Prints a line on standard error, in the same way.
pub fn note(line: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}
