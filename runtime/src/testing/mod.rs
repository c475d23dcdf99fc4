//! Spans in your own tests: run a piece of code, look at the spans that it made.
//!
//! ```
//! use throughline::testing::capture;
//! use throughline::traced_span;
//!
//! #[traced_span("planning.generate_plan", fields(plan_id))]
//! fn generate_plan(plan_id: u64) -> usize {
//!     analyze_task("write")
//! }
//!
//! #[traced_span("planning.analyze_task")]
//! fn analyze_task(task: &str) -> usize {
//!     task.len()
//! }
//!
//! let captured = capture(|| generate_plan(7));
//! assert_eq!(captured.output, 5);
//! assert_eq!(captured.spans().len(), 2);
//! assert_eq!(
//!     captured.tree(),
//!     "planning.generate_plan  plan_id=7\n└─ planning.analyze_task\n"
//! );
//! ```
//!
//! Nothing has to be set up: the first capture of a process installs a pipeline without exporters, unless the program
//! has installed its own, which is then used. Tests that run in parallel do not see each other's spans, because each
//! capture has a trace of its own.

mod capture;
#[cfg(test)]
pub(crate) mod samples;
pub(crate) mod tap;

pub use capture::{Captured, capture, capture_async};
