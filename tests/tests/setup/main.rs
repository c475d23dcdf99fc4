//! Set-up: settings, errors, globals, runtimes, signals. What is global runs in a process of its own: this test binary
//! again, with one of the ignored tests in `programs`.

mod disabled;
mod ends;
mod errors;
mod logs;
mod precedence;
mod process;
mod programs;
mod registration;
mod runtimes;
